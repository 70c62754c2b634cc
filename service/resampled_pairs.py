"""The resampling of pairs of arms from the bits on storage: what other seeds and other test samples would change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.sample_bits import Bits, StageBits, read_sample_bits
from service.statistics.resampling import ResampledDifference, resampled_difference
from service.storage import ExperimentFolder

# Bits of the test samples of both arms at all seeds that are held at once, one byte each: 20,000 networks on 10,000
# test samples.
MAX_BITS = 200_000_000
# Means of the same accuracies differ by less, whatever the order of their sums.
SAME = 1e-9


@dataclass(frozen=True)
class TrainedStage:
    """The place of the last train stage of a chain."""

    chain: str
    index: int


@dataclass(frozen=True)
class PairToResample:
    """An arm and the one that it is compared with.

    Attributes:
        arm: The arm.
        to: The other arm.
        stages: The last train stages of both, at each seed of their difference.
        difference: The mean difference of their test accuracies, a fraction.
    """

    arm: str
    to: str
    stages: Mapping[int, tuple[TrainedStage, TrainedStage]]
    difference: float

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the pair's difference rests on, in numeric order."""
        return tuple(sorted(self.stages))


@dataclass(frozen=True)
class ResampledPair:
    """A resampled pair. The same seeds give the same result.

    Attributes:
        arm: The arm.
        to: The arm that it is compared with.
        seeds: The seeds that the result rests on, in numeric order.
        result: The result; None if it could not be computed.
        error: Why there is no result, in words; empty if there is one.
    """

    arm: str
    to: str
    seeds: tuple[int, ...]
    result: ResampledDifference | None
    error: str = ""

    def fits(self, seeds: Sequence[int], difference: float) -> bool:
        """Return whether it rests on these seeds, and on the networks with this mean difference.

        Other networks have the same seeds if a search has chosen another configuration since then.
        """
        if self.seeds != tuple(sorted(seeds)):
            return False
        resampled = None if self.result is None else self.result.difference
        return resampled is None or abs(resampled - difference) < SAME


def resample(pair: PairToResample, folder: ExperimentFolder) -> ResampledPair:
    """Read the bits of a pair from storage and resample its differences.

    Bits that do not exist, or do not fit together, are part of the answer.

    Raises:
        OSError: The storage does not answer.
    """
    try:
        arm, other = _bits_of_both(pair, folder)
        found = ResampledPair(pair.arm, pair.to, pair.seeds, resampled_difference(arm, other))
    except FileNotFoundError as error:
        return without_result(pair, f"a file is gone: {error.filename}")
    except ValueError as error:
        return without_result(pair, str(error))
    if not found.fits(pair.seeds, pair.difference):
        return without_result(pair, "the bits of the test samples do not give the committed accuracies")
    return found


def without_result(pair: PairToResample, error: str) -> ResampledPair:
    """Return a pair that could not be resampled, with the reason in words."""
    return ResampledPair(pair.arm, pair.to, pair.seeds, None, error)


def _bits_of_both(pair: PairToResample, folder: ExperimentFolder) -> tuple[dict[int, Bits], dict[int, Bits]]:
    """Return the bits of the two arms by seed.

    Raises:
        ValueError: A stage has no bits, they are damaged, they are of different data sets, or there are too many.
    """
    arm: dict[int, Bits] = {}
    other: dict[int, Bits] = {}
    digests: dict[str, str] = {}
    for seed, places in sorted(pair.stages.items()):
        for name, place, bits in zip((pair.arm, pair.to), places, (arm, other), strict=True):
            found = _bits_of(f"{name} at seed {seed}", place, folder)
            bits[seed] = found.values
            if found.digest is not None:
                digests.setdefault(found.digest, f"{name} at seed {seed}")
            if 2 * len(pair.stages) * len(found.values) > MAX_BITS:
                raise ValueError(
                    f"{2 * len(pair.stages):,} networks on {len(found.values):,} test samples are more than the "
                    f"{MAX_BITS:,} bits that are resampled"
                )
    if len(digests) > 1:
        first, second, *_ = digests.values()
        raise ValueError(f"{first} and {second} were tested on different data")
    return arm, other


def _bits_of(name: str, place: TrainedStage, folder: ExperimentFolder) -> StageBits:
    stage = folder.stage(place.chain, place.index)
    bits = read_sample_bits(stage)
    if bits is None:
        why = "an earlier version trained it" if stage.committed() else "its files are gone"
        raise ValueError(f"{name} has no bits of its test samples: {why}")
    return bits
