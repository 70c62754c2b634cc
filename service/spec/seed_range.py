"""The seeds of a spec: a list, or a range of seeds that ends as soon as the arms are decided."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from tet_core.config import Config, Seed

MAX_SEEDS = 100_000
# With so many seeds, a difference of an eighth of its standard deviation is decided.
MAX_UNTIL = 1_000
# So three seeds of all arms run at once, and few processes wait for the slowest arm of a seed. The price: at most two
# seeds that the answer does not need.
AHEAD = 2


class UntilWidth(Config):
    """How exactly each difference is to be known."""

    half_width: float = Field(
        gt=0,
        le=1,
        description="A pair is decided once the interval of its mean difference is at most twice as wide as this "
        "fraction; 0.005 is ±0.5 points.",
    )


def _kind_of_until(value: object) -> str:
    return "width" if isinstance(value, dict | UntilWidth) else "verdict"


Until = Annotated[
    Annotated[Literal["decided"], Tag("verdict")] | Annotated[UntilWidth, Tag("width")], Discriminator(_kind_of_until)
]


class SeedsUntil(Config):
    """Seeds that are added in numeric order until each pair of arms is decided."""

    first: Seed = Field(0, description="The first seed.")
    at_most: int = Field(
        ge=1, le=MAX_UNTIL, description="The experiment ends after this number of seeds, decided or not."
    )
    until: Until = Field(
        description="'decided': each pair has a verdict; {half_width: 0.005}: each difference is known to ±0.5 points."
    )
    ahead: int = Field(
        AHEAD, ge=0, le=MAX_UNTIL, description="How many seeds may run beyond the one that is next to decide."
    )

    @property
    def half_width(self) -> float | None:
        """The half-width that is wanted; None: a verdict is."""
        return self.until.half_width if isinstance(self.until, UntilWidth) else None

    def numbers(self) -> tuple[int, ...]:
        """Return every seed that may run, in order."""
        return tuple(range(self.first, self.first + self.at_most))


def _kind_of_seeds(value: object) -> str:
    return "until" if isinstance(value, dict | SeedsUntil) else "list"


SeedList = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)]
Seeds = Annotated[Annotated[SeedList, Tag("list")] | Annotated[SeedsUntil, Tag("until")], Discriminator(_kind_of_seeds)]
