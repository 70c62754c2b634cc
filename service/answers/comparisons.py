"""Answers about how the arms of an experiment compare."""

from typing import Any

from pydantic import BaseModel, Field

from service.presets.catalogue import Published


class PairedDifferenceView(BaseModel):
    """An arm's accuracy minus the baseline's, over the `n` seeds present in both."""

    difference: float | None
    low: float | None = Field(description="Lower end of the 95 % interval (Student's t); null below two pairs.")
    high: float | None
    n: int
    reason: str | None = Field(description="Why the arms cannot be paired, and there are no numbers; null if they can.")


class ChoiceView(BaseModel):
    """The configuration of a search that an arm's numbers belong to."""

    configuration: dict[str, Any] | None = Field(
        description="The best by val/accuracy of those with results at the most seeds; "
        "null until a chain has succeeded."
    )
    val_accuracy: float | None = Field(description="Its mean over these seeds, a fraction.")
    num_configurations: int = Field(description="The number of configurations with a chain that has succeeded.")


class ArmResultView(BaseModel):
    """An arm over the seeds whose chains have succeeded; accuracies are fractions."""

    name: str
    n: int
    mean: float | None = Field(description="Mean of the final test accuracy.")
    std: float | None = Field(description="Standard deviation of the sample; null below two seeds.")
    values: list[float] = Field(description="The final test accuracy at each seed, in the order of the spec.")
    train_time_s: float | None = Field(description="Training time of all committed epochs, a mean over the seeds.")
    versus_baseline: PairedDifferenceView | None = Field(
        description="The difference to the baseline; null for the baseline itself."
    )
    published: Published | None = Field(None, description="The paper's number for this arm of a preset; else null.")
    choice: ChoiceView | None = Field(None, description="The configuration that a search chose; null without a search.")


class FrontPointView(BaseModel):
    """A configuration that no other configuration beats in both goals."""

    arm: str
    configuration: dict[str, Any]
    chains: list[str] = Field(description="The ids of its chains, one for each seed.")
    val_accuracy: float = Field(description="Mean over its seeds, a fraction.")
    cost: float = Field(description="The second goal, a mean over its seeds.")
    test_accuracy: float = Field(
        description="The final test accuracy, a mean over its seeds; it has no part in the choice."
    )


class FrontView(BaseModel):
    """The front of a search with two goals: the configurations of all arms that no other one beats in both."""

    goal: str = Field(description="The second goal; lower is better.", examples=["val/energy_j", "train_time_s"])
    points: list[FrontPointView] = Field(description="From the cheapest to the most accurate.")


class ComparisonView(BaseModel):
    """How the arms compare, by the chains that have succeeded so far."""

    baseline: str
    preset: str | None = Field(None, description="The preset that the experiment was posted with.")
    source: str | None = Field(None, description="The publication of the published numbers.")
    arms: list[ArmResultView]
    front: FrontView | None = Field(None, description="The front of a search with two goals; else null.")
