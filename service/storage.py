"""Paths of everything that an experiment has on the shared storage.

    experiments/<experiment>/
        spec.json                          the current spec, written before each driver
        search/<n>.json                    the n-th proposal or decision of a search
        decided/<n>.json                   the n-th pair of arms that was decided, if seeds are added until all are
        precision-cpu.json, -gpu.json      the precision chosen for `precision: auto`
        checks/<generation>-<n>.json       the report of the n-th node that checked the configurations (1 or 2)
        drivers/<n>/events.jsonl           events of the n-th driver, one JSON object a line; and driver.log
        drivers/<n>.cancelled              the n-th driver is stopped because its experiment is cancelled
        verifications/<n>/                 the n-th replay of a stage: result.json, and its log
        chains/<chain>/<stage>/
            attempts/<n>/                  files of one attempt: started.json, epoch files, checkpoints, trial.log;
                                           and, of a training's last epoch, sample-bits-<epoch>.json
            commits/<epoch>.json           hard link to the winning attempt's epoch file: the journal
            done.json                      hard link to the winning attempt's result: the completion marker
            done-0002.json                 the same for the second generation, if the first one failed

This module has only paths; the rules of committing are in `service.runner.commits.attempt`.
"""

from dataclasses import dataclass
from pathlib import Path

# The trained network of a train stage, without the optimiser; its last attempt writes it.
MODEL = "model.pt"


@dataclass(frozen=True)
class StageFolder:
    """The paths of one stage of one chain."""

    path: Path

    @property
    def attempts(self) -> Path:
        """The folder of the attempts."""
        return self.path / "attempts"

    @property
    def commits(self) -> Path:
        """The journal."""
        return self.path / "commits"

    def commit(self, epoch: int) -> Path:
        """Return the commit of an epoch of a training, or of a row of an analysis."""
        return self.commits / f"{epoch:06d}.json"

    def committed(self, after: int = 0) -> list[int]:
        """Return the numbers of the committed epochs or rows after `after`, in order, up to the first gap.

        A listing that is made while two epochs are committed may show the second and not the first (POSIX allows it,
        and it happens on NFS). So commits after a gap are left for the next read.
        """
        try:
            files = [file for file in self.commits.iterdir() if file.suffix == ".json" and file.stem.isdigit()]
        except FileNotFoundError:
            return []
        numbers = sorted(number for file in files if (number := int(file.stem)) > after)
        return [number for expected, number in enumerate(numbers, after + 1) if number == expected]

    def done(self, generation: int = 1) -> Path:
        """Return the completion marker for a generation of the experiment."""
        return self.path / ("done.json" if generation == 1 else f"done-{generation:04d}.json")

    def attempt(self, number: int) -> Path:
        """Return the folder of one attempt."""
        return self.attempts / f"{number:04d}"

    def attempt_numbers(self) -> list[int]:
        """Return the numbers of the attempts so far, oldest first."""
        return numbered(self.attempts)

    def trial_log(self, number: int) -> Path:
        """Return the log of one attempt."""
        return self.attempt(number) / "trial.log"


@dataclass(frozen=True)
class ExperimentFolder:
    """The paths of one experiment."""

    storage: Path
    experiment_id: str

    @property
    def path(self) -> Path:
        """The folder of the experiment."""
        return self.storage / "experiments" / self.experiment_id

    @property
    def spec(self) -> Path:
        """The spec that the drivers run."""
        return self.path / "spec.json"

    def precision(self, *, on_gpu: bool) -> Path:
        """Return the file with the precision chosen for `precision: auto`; there is one for each kind of device."""
        return self.path / f"precision-{'gpu' if on_gpu else 'cpu'}.json"

    @property
    def search(self) -> Path:
        """The folder of a search's proposals and decisions, in order."""
        return self.path / "search"

    @property
    def decided(self) -> Path:
        """The folder of the decisions on pairs of arms, in order."""
        return self.path / "decided"

    def check(self, generation: int, number: int) -> Path:
        """Return the report of the first or the second node that checks a generation's configurations."""
        return self.path / "checks" / f"{generation:04d}-{number}.json"

    @property
    def drivers(self) -> Path:
        """The folder of the drivers."""
        return self.path / "drivers"

    def driver(self, attempt: int) -> Path:
        """Return the folder of one driver."""
        return self.drivers / f"{attempt:04d}"

    def driver_numbers(self) -> list[int]:
        """Return the numbers of the drivers so far, oldest first."""
        return numbered(self.drivers)

    def events(self, attempt: int) -> Path:
        """Return the event file of one driver."""
        return self.driver(attempt) / "events.jsonl"

    def driver_log(self, attempt: int) -> Path:
        """Return the log of one driver."""
        return self.driver(attempt) / "driver.log"

    def cancelled(self, attempt: int) -> Path:
        """Return the file that tells a stopped driver that its experiment is cancelled, and not paused or moved."""
        return self.drivers / f"{attempt:04d}.cancelled"

    def verification(self, number: int) -> Path:
        """Return the folder of one replay of a stage."""
        return self.path / "verifications" / f"{number:04d}"

    def stage(self, chain_id: str, index: int) -> StageFolder:
        """Return the folder of one stage."""
        return StageFolder(self.path / "chains" / chain_id / str(index))


def numbered(folder: Path) -> list[int]:
    """Return the numbers that name entries of `folder`, in order; an empty list if the folder does not exist."""
    try:
        return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())
    except FileNotFoundError:
        return []
