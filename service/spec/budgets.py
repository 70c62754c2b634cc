"""Budgets of a plan: how large an experiment may be when it is posted.

An experiment that is stored already is never measured against them, not even when it gets new resources: the service
continues what it has accepted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.errors import FieldError
from service.spec.raw import Path

SEEDS: Path = ("seeds",)
# Resolving a stage costs as much as reading this many values of the spec. An arm with more values counts as more
# stages.
VALUES_OF_A_STAGE = 30


@dataclass(frozen=True)
class Budgets:
    """The largest numbers that one plan may have; the settings of the same names set them.

    Attributes:
        max_chains: Arms times configurations times seeds.
        max_stages: The stages of all chains.
        max_configured_stages: The stages of all arms in all of their configurations. All seeds share these: each is
            resolved once when the experiment is posted.
    """

    max_chains: int
    max_stages: int
    max_configured_stages: int


@dataclass(frozen=True)
class ArmSize:
    """The size of one arm.

    Attributes:
        num_stages: The number of its stages.
        num_configurations: The number of its configurations; 1 without a search.
        num_resolved: How often its stages are resolved when the experiment is posted. A search that learns resolves
            only its first configurations, and every search resolves the ends of its ranges too.
        num_values: The number of values in its part of the spec, which each resolution reads; 0: do not count them.
    """

    num_stages: int
    num_configurations: int = 1
    num_resolved: int = 1
    num_values: int = 0

    @property
    def configured_stages(self) -> int:
        """The cost of resolving the arm, as a number of stages."""
        return self.num_resolved * max(self.num_stages, -(-self.num_values // VALUES_OF_A_STAGE))


def budget_faults(arms: Sequence[ArmSize], num_seeds: int, budgets: Budgets, place: Path) -> Iterator[FieldError]:
    """Yield a fault for each budget that a plan would exceed. This only computes numbers, and resolves nothing.

    Args:
        arms: The sizes of all arms.
        num_seeds: The number of seeds.
        budgets: The budgets.
        place: The field that multiplies chains and stages: `seeds`, or a field of the search.
    """
    num_configurations = sum(arm.num_configurations for arm in arms)
    num_chains = num_configurations * num_seeds
    num_stages = sum(arm.num_stages * arm.num_configurations for arm in arms) * num_seeds
    configured = sum(arm.configured_stages for arm in arms)
    factors = f"{_number(num_configurations)} arms (each configuration counts) times {_number(num_seeds)} seeds"
    if num_chains > budgets.max_chains:
        limit = f"at most {budgets.max_chains:,} chains (TET_MAX_CHAINS)"
        yield _fault(place, f"{_number(num_chains)} chains", f"{limit}; there are {factors}")
    if num_stages > budgets.max_stages:
        limit = f"at most {budgets.max_stages:,} stages over all chains (TET_MAX_STAGES)"
        yield _fault(place, f"{_number(num_stages)} stages", f"{limit}; there are {factors}, each with its stages")
    if configured > budgets.max_configured_stages:
        limit = f"at most {budgets.max_configured_stages:,} stages to resolve (TET_MAX_CONFIGURED_STAGES)"
        counted = "the stages of each arm, times its configurations and the searched choices and ends of ranges"
        where: Path = ("arms",) if place == SEEDS else place
        yield _fault(where, f"{_number(configured)} stages", f"{limit}: {counted}")


def _fault(path: Path, value: str, limit: str) -> FieldError:
    return FieldError.at(path, value, f"must give {limit}. Post several smaller experiments instead")


def _number(value: int) -> str:
    """Return a number as text that stays short: a grid may have 10^800 points."""
    return f"{value:,}" if value < 10**15 else f"about 10^{len(str(value)) - 1}"
