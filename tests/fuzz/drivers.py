"""Drivers as the service sees them: their commits, their events and their ends.

No network is trained. The commits are in a `Journal`, which all drivers of an experiment share, as they share its
folder. A driver's events are always true, but may be late.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from service.events import ChainChanged, DriverStarted, Event, Outcome, StageChanged
from service.plan import Chain, plan
from service.spec import parse
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder

Place = tuple[str, int]  # a stage: the id of its chain, and its index in the chain


@dataclass
class Journal:
    """What all drivers of one experiment have committed: the epochs of the stages, and how stages ended."""

    chains: tuple[Chain, ...]
    epochs: dict[Place, int] = field(default_factory=dict)
    succeeded: set[Place] = field(default_factory=set)
    # Each failed stage, with the generation in which it failed.
    failed: set[tuple[Place, int]] = field(default_factory=set)

    def next_stage(self, generation: int) -> tuple[Place, int] | None:
        """Return the first stage that may run, and its number of epochs; None if nothing is left to do."""
        for chain in self.chains:
            for stage in chain.stages:
                place = chain.id, stage.index
                if (place, generation) in self.failed:
                    break
                if place not in self.succeeded:
                    return place, stage.config.epochs
        return None

    def commit(self, place: Place, epochs: int) -> None:
        """Commit one more epoch; the last one ends the stage."""
        self.epochs[place] = self.epochs.get(place, 0) + 1
        if self.epochs[place] == epochs:
            self.succeeded.add(place)

    def stage_state(self, place: Place, generation: int, otherwise: WorkState) -> WorkState:
        """Return the stage's state; `otherwise` if it has not ended."""
        if place in self.succeeded:
            return WorkState.SUCCEEDED
        return WorkState.FAILED if (place, generation) in self.failed else otherwise

    def chain_state(self, chain: Chain, generation: int, otherwise: WorkState) -> WorkState:
        """Return the chain's state; `otherwise` if it has not ended."""
        states = {self.stage_state((chain.id, stage.index), generation, otherwise) for stage in chain.stages}
        if states == {WorkState.SUCCEEDED}:
            return WorkState.SUCCEEDED
        return WorkState.FAILED if WorkState.FAILED in states else otherwise


@dataclass
class Driver:
    """One driver's process. It may live longer than its job, and its events may be read long after its end."""

    folder: ExperimentFolder
    journal: Journal
    attempt: int
    generation: int
    alive: bool = True
    has_ended: bool = False  # with an outcome
    unwritten: list[Event] = field(default_factory=list)

    def start(self) -> bool:
        """Make the driver's folder, and announce the start. Return whether the driver has started.

        It has not started if another driver or the reconciler has made this folder, or if the experiment's folder is
        deleted.
        """
        try:
            self.folder.driver(self.attempt).mkdir()
        except (FileExistsError, FileNotFoundError):
            self.alive = False
            return False
        self.unwritten.append(DriverStarted(attempt=self.attempt))
        self.unwritten += self._all(WorkState.WAITING)
        return True

    def commit(self) -> None:
        """Commit one epoch of the next stage, or end with an outcome if no stage is left."""
        next_stage = self.journal.next_stage(self.generation)
        if next_stage is None:
            self._end()
            return
        self.journal.commit(*next_stage)
        self.unwritten += self._about(next_stage[0], WorkState.RUNNING)

    def fail(self) -> None:
        """Let the running stage fail for the rest of this generation, as a failure of class user does."""
        next_stage = self.journal.next_stage(self.generation)
        if next_stage is not None:
            self.journal.failed.add((next_stage[0], self.generation))
            self.unwritten += self._about(next_stage[0], WorkState.WAITING)

    def stop(self) -> None:
        """Commit the current epoch of the running stage, then end as cancelled. If no stage is left, end as usual."""
        next_stage = self.journal.next_stage(self.generation)
        if next_stage is None:
            self._end()
            return
        self.journal.commit(*next_stage)
        self.unwritten += [*self._about(next_stage[0], WorkState.WAITING), *self._all(WorkState.CANCELLED)]
        self._conclude(Outcome(state=ExperimentState.CANCELLED, reason="cancelled while it ran"))

    def write_events(self) -> None:
        """Append the unwritten events to the event file, if its folder still exists."""
        if self.unwritten and self.folder.driver(self.attempt).exists():
            with self.folder.events(self.attempt).open("a") as file:
                file.writelines(event.model_dump_json() + "\n" for event in self.unwritten)
        self.unwritten = []

    def _end(self) -> None:
        has_failed = any(generation == self.generation for _, generation in self.journal.failed)
        self._conclude(
            Outcome(state=ExperimentState.FAILED, reason="a chain failed")
            if has_failed
            else Outcome(state=ExperimentState.SUCCEEDED)
        )

    def _conclude(self, outcome: Outcome) -> None:
        self.unwritten.append(outcome)
        self.alive, self.has_ended = False, True

    def _all(self, otherwise: WorkState) -> Iterator[Event]:
        for chain in self.journal.chains:
            for stage in chain.stages:
                yield self._stage((chain.id, stage.index), otherwise)
            yield ChainChanged(chain=chain.id, state=self.journal.chain_state(chain, self.generation, otherwise))

    def _about(self, place: Place, otherwise: WorkState) -> Iterator[Event]:
        yield self._stage(place, otherwise)
        chain = next(chain for chain in self.journal.chains if chain.id == place[0])
        yield ChainChanged(chain=chain.id, state=self.journal.chain_state(chain, self.generation, WorkState.RUNNING))

    def _stage(self, place: Place, otherwise: WorkState) -> StageChanged:
        epoch = self.journal.epochs.get(place, 0)
        return StageChanged(
            chain=place[0],
            stage=place[1],
            epoch=epoch,
            metrics={"test/accuracy": epoch / 10} if epoch else {},
            state=self.journal.stage_state(place, self.generation, otherwise),
            attempts=self.attempt,
            weights_sha256=f"{epoch:064x}" if epoch else None,
        )


def new_driver(folder: ExperimentFolder, journals: dict[str, Journal], job: dict[str, Any]) -> Driver:
    """Return the driver that a submitted job starts. The job's command line has the driver's number and generation."""
    words = job["entrypoint"].split()
    attempt, generation = (int(words[words.index(f"--{name}") + 1]) for name in ("attempt", "generation"))
    if folder.experiment_id not in journals:
        spec = folder.spec.read_bytes() if folder.spec.exists() else None
        journals[folder.experiment_id] = Journal(plan(parse(json.loads(spec))) if spec else ())
    return Driver(folder, journals[folder.experiment_id], attempt, generation)
