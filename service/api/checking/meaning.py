"""What a posted document means: a spec, a preset with changes, or a part of a spec.

This module uses neither the web framework nor the database.
"""

from service.answers.validation import ResolvedArm, ResolvedSpec
from service.documents import read_document
from service.presets.catalogue import Preset
from service.spec.experiment import Experiment, parse_posted
from service.spec.resolving import resolve_arm


def read_spec(body: bytes, media_type: str, preset: Preset | None) -> Experiment:
    """Return the spec of a body: its own, or that of a preset with the changes of the body.

    Raises:
        DocumentInvalid: The body is not well-formed.
        SpecInvalid: The spec has faults.
    """
    if preset is None:
        return parse_posted(read_document(body, media_type))
    return parse_posted(preset.with_changes(read_document(body, media_type) if body.strip() else None))


def resolved_spec(spec: Experiment) -> ResolvedSpec:
    """Resolve every stage of every arm, as the first seed would run it."""
    arms = [
        ResolvedArm(
            name=arm.name,
            stages=[
                {"kind": stage.kind} | config.model_dump(mode="json", exclude={"seed": True, "train": {"seed"}})
                for stage, config in zip(arm.stages, resolve_arm(spec, number, spec.all_seeds[0]), strict=True)
            ],
        )
        for number, arm in enumerate(spec.arms)
    ]
    return ResolvedSpec(baseline=spec.baseline_arm, seeds=list(spec.all_seeds), arms=arms)
