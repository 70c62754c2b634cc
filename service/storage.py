"""Where everything of an experiment lies on the shared storage.

    experiments/<experiment>/
        spec.json                          the spec as it holds, written before each driver
        search/<n>.json                    the n-th thing that a search proposed or decided
        precision-cpu.json, -gpu.json      what `precision: auto` stands for there, where the spec asks for it
        drivers/<n>/events.jsonl           what the n-th driver said, one JSON object a line; driver.log beside it
        verifications/<n>/                 the n-th replay of a stage: result.json, and its log
        chains/<chain>/<stage>/
            attempts/<n>/                  all that one attempt wrote: started.json, epoch files, checkpoints, trial.log
            commits/<epoch>.json           hard link to the winning attempt's epoch file: the journal
            done.json                      hard link to the winning attempt's end: the completion marker
            done-0002.json                 the same of the second generation, where the first one failed

Paths alone; the rules of committing live in `service.runner.commits.attempt`.
"""

from dataclasses import dataclass
from pathlib import Path

# What a train stage's last attempt leaves: the trained network alone, without the optimiser.
MODEL = "model.pt"


@dataclass(frozen=True)
class StageFolder:
    """The paths of one stage of one chain."""

    path: Path

    @property
    def attempts(self) -> Path:
        """Where the attempts lie."""
        return self.path / "attempts"

    @property
    def commits(self) -> Path:
        """The journal."""
        return self.path / "commits"

    def done(self, generation: int = 1) -> Path:
        """The completion marker of a generation of the experiment."""
        return self.path / ("done.json" if generation == 1 else f"done-{generation:04d}.json")

    def attempt(self, number: int) -> Path:
        """What one attempt wrote."""
        return self.attempts / f"{number:04d}"

    def attempt_numbers(self) -> list[int]:
        """The attempts made so far, oldest first."""
        return numbered(self.attempts)

    def trial_log(self, number: int) -> Path:
        """What one attempt said."""
        return self.attempt(number) / "trial.log"


@dataclass(frozen=True)
class ExperimentFolder:
    """The paths of one experiment."""

    storage: Path
    experiment_id: str

    @property
    def path(self) -> Path:
        """All of the experiment."""
        return self.storage / "experiments" / self.experiment_id

    @property
    def spec(self) -> Path:
        """The spec that the drivers run."""
        return self.path / "spec.json"

    def precision(self, *, on_gpu: bool) -> Path:
        """What `precision: auto` stands for; which device it is may change until something has begun."""
        return self.path / f"precision-{'gpu' if on_gpu else 'cpu'}.json"

    @property
    def search(self) -> Path:
        """What a search proposed and decided, in order."""
        return self.path / "search"

    @property
    def drivers(self) -> Path:
        """Where the drivers write."""
        return self.path / "drivers"

    def driver(self, attempt: int) -> Path:
        """What one driver wrote."""
        return self.drivers / f"{attempt:04d}"

    def driver_numbers(self) -> list[int]:
        """The drivers started so far, oldest first."""
        return numbered(self.drivers)

    def events(self, attempt: int) -> Path:
        """What one driver said happened."""
        return self.driver(attempt) / "events.jsonl"

    def driver_log(self, attempt: int) -> Path:
        """One driver's log."""
        return self.driver(attempt) / "driver.log"

    def verification(self, number: int) -> Path:
        """What one replay of a stage wrote."""
        return self.path / "verifications" / f"{number:04d}"

    def stage(self, chain_id: str, index: int) -> StageFolder:
        """The folder of one stage."""
        return StageFolder(self.path / "chains" / chain_id / str(index))


def numbered(folder: Path) -> list[int]:
    """Numbers of the entries of `folder` that are named by a number, in order; none if it does not exist."""
    try:
        return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())
    except FileNotFoundError:
        return []
