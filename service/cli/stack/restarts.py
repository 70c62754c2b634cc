"""The restarts of components: their number, and when the next one is allowed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tet_core.files import write_atomic

# Waits before a restart, s. The first restart within the window has no wait; later waits double from 1 s to 60 s.
FIRST_WAIT_S, LAST_WAIT_S = 1.0, 60.0
# Seconds without a fault after which earlier restarts no longer count, however long the window is.
REFILL_S = 600.0


@dataclass(frozen=True)
class Policy:
    """The limit of restarts after which a component is left down.

    Attributes:
        limit: Largest number of restarts within the window.
        window_s: Length of the window, s; earlier restarts do not count.
    """

    limit: int
    window_s: float

    @property
    def refill_s(self) -> float:
        """Seconds for which a component must work without a fault, until all restarts are allowed again."""
        return min(self.window_s, REFILL_S)


@dataclass(frozen=True)
class Restarts:
    """The restarts of one component; times are seconds since 1970.

    Attributes:
        count: Restarts since `tet up`.
        recent: Times of the restarts within the window.
        at: Time of the last one; None if there was none.
        reason: The reason of the last restart, or of giving up.
        given_up: Whether the component is no longer restarted.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    count: int = 0
    recent: tuple[float, ...] = field(default=())
    at: float | None = None
    reason: str = ""
    given_up: bool = False

    def due_at(self, policy: Policy, now: float) -> float | None:
        """Return when a component that has failed may be restarted; None if it may not."""
        recent = self._recent(policy, now)
        if self.given_up or len(recent) >= policy.limit:
            return None
        if not recent:
            return now
        return recent[-1] + min(FIRST_WAIT_S * 2.0 ** (len(recent) - 1), LAST_WAIT_S)

    def restarted(self, policy: Policy, now: float, reason: str) -> Self:
        """Return these restarts and one more."""
        recent = (*self._recent(policy, now), now)
        return replace(self, count=self.count + 1, recent=recent, at=now, reason=reason)

    def give_up(self, policy: Policy, reason: str) -> Self:
        """Return these restarts, with no further ones allowed."""
        past = f"given up after {policy.limit} restarts in {policy.window_s:.0f} s"
        return replace(self, given_up=True, reason=f"{past}: {reason}; `tet up` starts it again")

    def refilled(self) -> Self:
        """Return these restarts after the component has worked for `Policy.refill_s`: none of them counts any more."""
        reason = "it was given up, and works again" if self.given_up else self.reason
        return replace(self, recent=(), given_up=False, reason=reason)

    def _recent(self, policy: Policy, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.recent if 0 <= now - at < policy.window_s)


_ALL = TypeAdapter(dict[str, Restarts])


@dataclass(frozen=True)
class RestartsFile:
    """The file with the restarts of all components; it outlives the supervisor."""

    path: Path

    def read(self) -> dict[str, Restarts]:
        """Return the restarts by component; an empty dict if the file is missing or cannot be read."""
        try:
            return _ALL.validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}

    def write(self, restarts: Mapping[str, Restarts]) -> None:
        """Write the file in one step."""
        write_atomic(self.path, _ALL.dump_json(dict(restarts)))

    def forget(self, names: list[str]) -> None:
        """Remove the restarts of some components, which then count from 0."""
        left = {name: past for name, past in self.read().items() if name not in names}
        if left:
            self.write(left)
        else:
            self.path.unlink(missing_ok=True)
