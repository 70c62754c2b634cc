"""What an experiment asks, what its stages do, and how it is run again, in words."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from service.presets.catalogue import Preset
from service.reports.lists import listed
from service.spec import Experiment
from service.spec.experiment import Arm, Stage, TrainStage
from tet_core.config import Energy, Landscape, TimeSweep

# Arms, pairs or seeds that a sentence lists.
MAX_LISTED = 6


def question_of(spec: Experiment, preset: Preset | None) -> str:
    """Return the question of an experiment as a paragraph."""
    pairs = [(pair.arm, pair.to) for pair in spec.pairs]
    parts = [_of_pairs(pairs, spec.baseline_arm), _of_data(spec)]
    if spec.search is not None:
        parts.append(
            f"Each arm is first searched for its best settings ({spec.search.method}), by validation accuracy alone."
        )
    if spec.margin is not None:
        parts.append(f"Differences below {100 * spec.margin:g} points do not count.")
    if preset is not None:
        small = "with a small network and small data, " if preset.mini else ""
        parts.append(f"It repeats {preset.reproduces} of the paper, {small}by the preset {preset.name}.")
    return " ".join(parts)


def _of_pairs(pairs: Sequence[tuple[str, str]], baseline: str) -> str:
    if not pairs:
        return f"How accurate is {baseline} on the test set after the last epoch?"
    if len({to for _, to in pairs}) == 1:
        arms = listed([arm for arm, _ in pairs], MAX_LISTED, "or")
        return f"Does {arms} differ from {pairs[0][1]} in test accuracy after the last epoch?"
    each = listed([f"{arm} from {to}" for arm, to in pairs], MAX_LISTED)
    return f"Do these arms differ in test accuracy after the last epoch: {each}?"


def _of_data(spec: Experiment) -> str:
    return (
        f"Data set: {spec.dataset.name}; network: {spec.model.name}; {_of_seeds(spec)}. At one seed, arms share "
        "initial weights, data order and augmentation."
    )


def _of_seeds(spec: Experiment) -> str:
    if spec.until is not None:
        return f"seeds from {min(spec.all_seeds)} on, added until the arms are decided, at most {len(spec.all_seeds)}"
    word = "seed" if len(spec.all_seeds) == 1 else "seeds"
    return f"{word} {listed([str(seed) for seed in spec.all_seeds], MAX_LISTED)}"


def arm_in_words(arm: Arm) -> list[str]:
    """Return what each stage of an arm does."""
    return [_stage_in_words(stage) for stage in arm.stages]


def _stage_in_words(stage: Stage) -> str:
    match stage:
        case TrainStage():
            more = ", with the optimiser of the stage before" if stage.inherit == "all" else ""
            epochs = "1 epoch" if stage.epochs == 1 else f"{stage.epochs} epochs"
            return f"train with {stage.loss.name.upper()} at T={stage.T}, {epochs}{more}"
        case TimeSweep():
            return f"test at T={_range(stage.T)}"
        case Landscape():
            return f"loss landscape, {stage.size} x {stage.size} points"
        case Energy():
            return "energy of an image" + ("" if stage.T is None else f" at T={_range(stage.T)}")
        case _:
            assert_never(stage)


def _range(T: Sequence[int]) -> str:
    if len(T) > 2 and list(T) == list(range(T[0], T[-1] + 1)):
        return f"{T[0]} to {T[-1]}"
    return listed([str(each) for each in T], 12)


def shown_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec without its webhook: its address may be secret, and a report is passed on."""
    return {key: value for key, value in spec.items() if key != "webhook"}


def sha256_of(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a spec as JSON with sorted keys and without spaces."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def command_of(preset: str | None) -> str:
    """Return the command that runs a spec again, from the file `experiment.json`."""
    return "tet submit experiment.json" + (f" --preset {preset}" if preset else "") + " --follow"
