"""Answers about how the arms of an experiment compare."""

from typing import Any

from pydantic import BaseModel, Field

from service.answers.chances import ChanceView
from service.answers.units import Unit
from service.failures import FailureType
from service.presets.catalogue import Published
from service.states import WorkState
from service.statistics.verdict import Verdict


class SeedValueView(BaseModel):
    """A value at one seed."""

    seed: int
    value: float


class MissingSeedsView(BaseModel):
    """Seeds that are missing from a pairing, because one of the two arms has no result there."""

    arm: str = Field(description="The arm without a result.")
    state: WorkState = Field(description="The state of its chains at these seeds.")
    failure: FailureType | None = Field(description="The type of their failure; null if they have not failed.")
    seeds: list[int]


class BoundsView(BaseModel):
    """The bounds of an interval; null if there are none."""

    low: float | None
    high: float | None


class ResampledView(BaseModel):
    """What other test samples would change: a bootstrap over the seeds of `differences` and over the test samples."""

    num_samples: int = Field(description="The number of test samples.")
    other_samples: BoundsView = Field(
        description="95 % interval for these very networks: what would they give on other test samples of the same "
        "kind?"
    )
    other_seeds_and_samples: BoundsView = Field(
        description="95 % interval for the methods: what would other seeds give on other test samples? Without bounds "
        "below three seeds. `low` and `high` of the pair say what other seeds would give on these very test samples."
    )
    std_of_test_set: float | None = Field(
        description="The part of the standard deviation of `differences` that is the finite test set's: with an "
        "endless test set it would vanish. Null below two seeds."
    )
    share_of_test_set: float | None = Field(
        description="Its share of the variance of `differences`, at most 1; null below two seeds, and if all "
        "differences are equal."
    )


class PairedDifferenceView(BaseModel):
    """An arm's values minus those of the arm `to`, over the `n` seeds present in both."""

    to: str = Field(description="The arm that it is compared with: the baseline, or that of its pair in `compare`.")
    difference: float | None = Field(
        description="The mean of `differences`. It is not the difference of the two arms' means if a seed is missing "
        "in one of them."
    )
    low: float | None = Field(
        description="Lower end of the 95 % interval (Student's t); null below two pairs, "
        "and if all differences are equal. If seeds are added until the arms are decided: of the confidence sequence, "
        "which holds after every seed and for all pairs together; null while it is unbounded."
    )
    high: float | None
    n: int
    differences: list[SeedValueView] = Field(description="The difference at each seed that both arms have.")
    missing: list[MissingSeedsView] = Field(description="The other seeds of the spec, and why they are missing.")
    d_z: float | None = Field(None, description="The effect size: the mean divided by the standard deviation.")
    p: float | None = Field(
        None,
        description="Two-sided p of the paired t test; null below two pairs. If all differences are equal, the t test "
        "has no answer, and this is `p_sign_flip`. If seeds are added until the arms are decided: the anytime p.",
    )
    p_holm: float | None = Field(
        None,
        description="`p`, adjusted for all arms of the comparison by Holm's procedure. If seeds are added until the "
        "arms are decided: by Bonferroni's.",
    )
    p_sign_flip: float | None = Field(
        None, description="Two-sided p of the sign-flip test, which assumes no normal distribution; at least 2 / 2^n."
    )
    detectable: float | None = Field(
        None, description="The true difference that the t test would have found with a probability of 80 %."
    )
    verdict: Verdict = Field(
        Verdict.UNDECIDED,
        description="'better' or 'worse': `p_holm` is at most 0.05; 'undecided': it is not; 'not_comparable': the two "
        "arms did not start from the same weights.",
    )
    decided_at: int | None = Field(
        None,
        description="The seed that decided the pair; later seeds are not used. Null until then, and if the seeds are a "
        "list.",
    )
    resampled: ResampledView | None = Field(
        None,
        description="The bootstrap beside the t interval, for the test accuracy after the last epoch and the spec's "
        "own pairs. Null until the pair's chains or the experiment have ended, and if it could not be computed: then "
        "`notes` says why.",
    )
    reason: str | None = Field(
        description="Why the arms are not paired, so that there are no numbers; null if there is a difference."
    )


class ChoiceView(BaseModel):
    """The configuration of a search that an arm's numbers belong to."""

    configuration: dict[str, Any] | None = Field(
        description="The best by val/accuracy of those with results at the most seeds; "
        "null until a chain has succeeded."
    )
    val_accuracy: float | None = Field(description="Its mean over these seeds, a fraction.")
    num_configurations: int = Field(description="The number of configurations with a chain that has succeeded.")


class ArmResultView(BaseModel):
    """An arm over the seeds whose chains have succeeded; accuracies are fractions, all other values have their `unit`.

    If chains have failed, its mean is only over the survivors. The seeds that are neither in `values` nor counted as
    failed, cancelled or stopped have not ended yet.
    """

    name: str
    n: int = Field(description="The number of seeds with a result.")
    n_wanted: int = Field(description="The number of seeds of the spec.")
    num_failed: int = Field(
        description="The number of seeds whose chain failed. In a search: the chain of the configuration that is "
        "shown or, until one is shown, all chains of the seed."
    )
    num_cancelled: int = Field(description="The same for cancelled chains.")
    num_stopped: int = Field(description="The same for chains that a search stopped.")
    values: list[SeedValueView] = Field(description="The value at each seed, in the order of the spec.")
    beyond: list[SeedValueView] = Field(
        [],
        description="If seeds are added until the arms are decided: the values that no number here uses, because their "
        "seeds ran ahead of the seed that was next to decide.",
    )
    mean: float | None = Field(description="Mean of the values.")
    std: float | None = Field(description="Standard deviation of the sample; null below two seeds.")
    low: float | None = Field(description="Lower end of the mean's 95 % interval (Student's t); null below two seeds.")
    high: float | None
    train_time_s: float | None = Field(description="Training time of all committed epochs, a mean over the seeds.")
    versus_baseline: PairedDifferenceView | None = Field(
        description="The difference to the baseline, or to the arm of its first pair in `compare`; null for an "
        "arm that is not compared with another."
    )
    published: Published | None = Field(
        None,
        description="The paper's number for this arm of a preset; null if there is none, or if the experiment differs "
        "from the preset in something on which the number depends: `notes` says in what.",
    )
    chance: ChanceView | None = Field(
        None,
        description="The mean against chance; null if there is no mean, or if the chains ran under a version that did "
        "not record the test set's size.",
    )
    choice: ChoiceView | None = Field(None, description="The configuration that a search chose; null without a search.")


class FurtherPairView(BaseModel):
    """A pair of `compare` whose arm is in an earlier pair too, which `versus_baseline` shows."""

    arm: str
    versus: PairedDifferenceView


class ArmsAtTView(BaseModel):
    """The arms, with their values at one T."""

    T: int
    arms: list[ArmResultView]
    further_pairs: list[FurtherPairView] = Field([])


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
    chance: ChanceView | None = Field(None, description="The test accuracy against chance; null as in `arms`.")


class FrontView(BaseModel):
    """The front of a search with two goals: the configurations, of any arm, that no other one beats in both."""

    goal: str = Field(description="The second goal; lower is better.", examples=["val/energy_j", "train_time_s"])
    points: list[FrontPointView] = Field(description="From the cheapest to the most accurate.")


class ComparisonView(BaseModel):
    """How the arms compare, by the chains that have succeeded so far."""

    quantity: str = Field(description="The quantity that is compared.", examples=["test/accuracy"])
    unit: Unit = Field(Unit.ACCURACY, description="The unit of its values; accuracies are fractions.")
    higher_is_better: bool = Field(True, description="Whether a larger value is better.")
    baseline: str
    preset: str | None = Field(None, description="The preset that the experiment was posted with.")
    source: str | None = Field(None, description="The publication of the published numbers; null if none is shown.")
    arms: list[ArmResultView] = Field(description="The arms; empty for a quantity that has a value at each T.")
    further_pairs: list[FurtherPairView] = Field(
        [], description="The pairs of `compare` that no arm shows, because its arm is in an earlier pair too."
    )
    by_T: list[ArmsAtTView] = Field(
        [], description="Of a time sweep: the arms at each T. `p_holm` is adjusted for all pairs at all T together."
    )
    verdicts: list[str] = Field([], description="The verdict on each pair, in words; `notes` begin with them.")
    notes: list[str] = Field(
        [], description="What a reader of the numbers must know, in words; other fields hold the same facts."
    )
    front: FrontView | None = Field(None, description="The front of a search with two goals; else null.")

    def pairs(self) -> list[tuple[str, PairedDifferenceView]]:
        """Return all pairs, each with the name of its arm; none for a quantity that has a value at each T."""
        first = [(arm.name, arm.versus_baseline) for arm in self.arms if arm.versus_baseline is not None]
        return [*first, *((each.arm, each.versus) for each in self.further_pairs)]
