"""Answers about chance: whether an accuracy differs from that of a network that has learnt nothing."""

from enum import StrEnum
from typing import assert_never

from pydantic import BaseModel, ConfigDict, Field


class AgainstChance(StrEnum):
    """How an accuracy compares with chance, by the interval of the accuracy."""

    ABOVE = "above"
    ALIKE = "alike"  # the interval contains chance: it may be the true accuracy
    BELOW = "below"


class ChanceView(BaseModel):
    """An accuracy against chance, over the samples of the test set."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    verdict: AgainstChance = Field(
        description="'alike' if the interval contains `level`: the accuracy cannot be distinguished from chance."
    )
    level: float = Field(
        description="Chance, a fraction: the larger of 1/K and the share of the test set's largest class."
    )
    low: float = Field(
        description="Lower end of the accuracy's 95 % interval over the test samples (Clopper-Pearson), a fraction."
    )
    high: float
    num_samples: int = Field(description="The number of test samples.")


def chance_in_words(chance: ChanceView | None) -> str:
    """Return the end of a sentence about an accuracy, if it is no better than chance; else an empty text."""
    if chance is None:
        return ""
    facts = (
        f"{100 * chance.level:.2f} % (95 % interval over {chance.num_samples:,} test samples: "
        f"{100 * chance.low:.2f} to {100 * chance.high:.2f} %)"
    )
    match chance.verdict:
        case AgainstChance.ABOVE:
            return ""
        case AgainstChance.ALIKE:
            return f"cannot be distinguished from chance, {facts}"
        case AgainstChance.BELOW:
            return f"is below chance, {facts}"
        case _:
            assert_never(chance.verdict)


def chance_in_a_word(chance: ChanceView | None) -> str:
    """Return a short remark about an accuracy that is no better than chance, for a cell of a table; else an empty text.

    Example: "(chance 10.28)".
    """
    if chance is None:
        return ""
    match chance.verdict:
        case AgainstChance.ABOVE:
            return ""
        case AgainstChance.ALIKE:
            return f"(chance {100 * chance.level:.2f})"
        case AgainstChance.BELOW:
            return f"(below chance {100 * chance.level:.2f})"
        case _:
            assert_never(chance.verdict)
