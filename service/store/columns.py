"""Types of columns that SQLite and PostgreSQL would treat differently."""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time that always has the time zone UTC, even on SQLite, which stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC for the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a stored time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EnumText(TypeDecorator[StrEnum]):
    """A member of a `StrEnum`, stored as its value."""

    impl = String
    cache_ok = True

    def __init__(self, members: type[StrEnum], length: int = 32) -> None:
        """Make the type of a column for `members`; `length` is its size in characters."""
        super().__init__(length)
        self.members = members

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        """Return the value of a member, for the database; a text must be the value of a member."""
        return None if value is None else self.members(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Return the member of a stored value."""
        return None if value is None else self.members(value)


# SQLite numbers rows itself only if the column's type is called INTEGER, which has 64 bits in SQLite.
LongInteger = BigInteger().with_variant(Integer(), "sqlite")
