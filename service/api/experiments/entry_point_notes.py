"""Notes on a spec without faults: entry points that the API does not have. The nodes may have them."""

from collections.abc import Iterator

from service.errors import FieldError
from service.spec import Experiment
from tet_core.config import DATASET_ENTRY_POINTS, ENTRY_POINTS, EntryPointDataset, EntryPointModel
from tet_core.entry_points import offered_names, offers


def entry_point_notes(spec: Experiment) -> Iterator[FieldError]:
    """Yield a note on each entry point that the API's own environment does not have: the nodes may have it."""
    if isinstance(spec.model, EntryPointModel):
        yield from _note("model", spec.model.entry_point, ENTRY_POINTS)
    if isinstance(spec.dataset, EntryPointDataset):
        yield from _note("dataset", spec.dataset.entry_point, DATASET_ENTRY_POINTS)


def _note(block: str, name: str, group: str) -> Iterator[FieldError]:
    if not offers(group, name):
        detail = (
            f"{name!r} is not in the API's own environment; the nodes may have it. Installed with the API under "
            f"{group!r}: {offered_names(group, name)}"
        )
        yield FieldError.at((block, "entry_point"), name, detail)
