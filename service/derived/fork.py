"""The start points of a fork's chains, looked up when the fork is posted, in the experiments that its spec names."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.errors import FieldError, NotFound, SpecInvalid
from service.plan import ChainIds
from service.spec.blocks import StartPoint
from service.spec.experiment import Arm, Experiment, TrainStage, parse
from service.store.repository import Repository
from service.store.tables import ExperimentRow

# Maximum number of missing seeds that an error lists. The error counts the others.
MAX_NAMED = 5


def with_full_starts(repository: Repository, spec: Experiment) -> Experiment:
    """Return the spec with each arm's start in full: experiment, arm, stage, and the number of epochs before the start.

    The named experiments are locked until the transaction ends, so that none of them is deleted meanwhile.

    Raises:
        SpecInvalid: An arm cannot start at the start point that the spec names; the error holds every such fault.
    """
    if spec.start is None and all(arm.start is None for arm in spec.arms):
        return spec
    faults: list[FieldError] = []
    parents = _Parents(repository)
    arms = []
    for number, arm in enumerate(spec.arms):
        start = arm.start or spec.start
        if start is not None:
            path = ("arms", number, "start") if arm.start is not None else ("start",)
            finder = _Finder(parents, spec, arm, start, path)
            arm_faults = list(finder.faults())
            faults += [fault for fault in arm_faults if fault not in faults]
            arm = arm if arm_faults else arm.model_copy(update={"start": finder.start()})
        arms.append(arm)
    if faults:
        raise SpecInvalid(faults)
    raw = spec.model_dump(mode="json", exclude_unset=True, exclude={"start", "arms"})
    return parse({**raw, "arms": [_dumped(arm) for arm in arms]})


def _dumped(arm: Arm) -> dict[str, object]:
    start = None if arm.start is None else arm.start.model_dump(mode="json")
    plain = arm.model_dump(mode="json", exclude_unset=True, exclude={"start"})
    return plain if start is None else {**plain, "start": start}


@dataclass(frozen=True)
class _Parent:
    """An experiment from which arms start, and its spec."""

    row: ExperimentRow
    spec: Experiment


class _Parents:
    """The experiments from which arms start. Each is read and checked once, even if a thousand arms start from it."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._known: dict[str, _Parent | None] = {}
        # The last answer of `chains_past`. Only one is kept, because the ids of 10,000 chains take 1 MB.
        self._past: tuple[tuple[str, int], set[str]] | None = None

    def get(self, experiment_id: str) -> _Parent | None:
        """Return an experiment, locked; None if there is none."""
        if experiment_id not in self._known:
            self._known[experiment_id] = self._read(experiment_id)
        return self._known[experiment_id]

    def chains_past(self, experiment_id: str, stage: int) -> set[str]:
        """Return the ids of the chains whose stage has succeeded."""
        key = experiment_id, stage
        if self._past is None or self._past[0] != key:
            self._past = key, self._repository.work.chains_past(*key)
        return self._past[1]

    def _read(self, experiment_id: str) -> _Parent | None:
        try:
            row = self._repository.experiments.get(experiment_id, lock=True)
        except NotFound:
            return None
        return _Parent(row, parse(row.spec))


class _Finder:
    """Finds the start point of one arm."""

    def __init__(
        self, parents: _Parents, spec: Experiment, arm: Arm, start: StartPoint, path: tuple[str | int, ...]
    ) -> None:
        self._parents, self._spec, self._arm, self._start, self._path = parents, spec, arm, start, path
        self._name = start.arm if start.arm is not None else arm.name
        self._stage = -1
        self._epochs = 0

    def start(self) -> StartPoint:
        """Return the start in full; call it after `faults`, if that has found none."""
        return StartPoint(experiment=self._start.experiment, arm=self._name, stage=self._stage, epochs=self._epochs)

    def faults(self) -> Iterator[FieldError]:
        """Yield the faults of the arm's start point."""
        found = self._parents.get(self._start.experiment)
        if found is None:
            yield self._fault("experiment", self._start.experiment, "must name an experiment; none has this id")
            return
        parent, parent_spec = found.row, found.spec
        if (detail := _no_parent(parent, parent_spec)) is not None:
            yield self._fault("experiment", parent.id, detail)
            return
        if parent_spec.model != self._spec.model:
            detail = f"must be that of experiment {parent.id}: {parent_spec.model.name!r} with all of its settings"
            yield FieldError.at(("model",), self._spec.model.name, detail)
        arm = next((arm for arm in parent_spec.arms if arm.name == self._name), None)
        if arm is None:
            names = ", ".join(repr(each.name) for each in parent_spec.arms[:20])
            yield self._fault("arm", self._name, f"must be an arm of experiment {parent.id}: {names}")
            return
        yield from self._stage_faults(arm)
        if self._stage >= 0:
            yield from self._seed_faults(parent)

    def _stage_faults(self, arm: Arm) -> Iterator[FieldError]:
        trains = {index: stage for index, stage in enumerate(arm.stages) if isinstance(stage, TrainStage)}
        wanted = max(trains) if self._start.stage is None else self._start.stage
        if wanted not in trains:
            listed = ", ".join(map(str, trains))
            yield self._fault("stage", wanted, f"must be a train stage of {arm.name!r}: {listed}")
            return
        before = (arm.start.epochs or 0) if arm.start is not None else 0
        self._stage = wanted
        self._epochs = before + sum(stage.epochs for index, stage in trains.items() if index <= wanted)

    def _seed_faults(self, parent: ExperimentRow) -> Iterator[FieldError]:
        succeeded = self._parents.chains_past(parent.id, self._stage)
        ids = ChainIds(self._name, {})
        missing = [seed for seed in self._spec.all_seeds if ids.at(seed) not in succeeded]
        if missing:
            named = ", ".join(map(str, missing[:MAX_NAMED]))
            more = f" and {len(missing) - MAX_NAMED} more" if missing[MAX_NAMED:] else ""
            detail = f"must be seeds at which stage {self._stage} of {self._name!r} in {parent.id} has succeeded"
            yield FieldError.at(("seeds",), f"{named}{more}", detail)

    def _fault(self, key: str, value: object, detail: str) -> FieldError:
        return FieldError.at((*self._path, key), value, detail)


def _no_parent(parent: ExperimentRow, spec: Experiment) -> str | None:
    """Return the reason why no chain can start from an experiment, or None."""
    if parent.cleanup is not None or parent.checkpoints_removed_at is not None:
        return "must have its checkpoints; they have been removed"
    if spec.search is not None:
        return "must not be a search, which has many configurations; fork the experiment of its rerun-best"
    return None
