"""The board as a searcher of Ray Tune: a trial is one attempt at one stage, offered as soon as it may run."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from service.runner.chains.board import Answer, StageId


class ChainSearcher(Searcher):
    """Offers the stages that the board has ready, and reports to `on_end` how each trial ended.

    It offers a stage only when a slot is free: Tune starts trials in the order in which they were offered, and which
    stage should run next may change until the slot is free.

    It saves nothing: a later driver needs only what is committed on storage.
    """

    def __init__(
        self,
        take: Callable[[], StageId | Answer],
        config_of: Callable[[StageId], dict[str, Any]],
        on_end: Callable[[StageId, dict[str, Any] | None], None],
        num_places: Callable[[], int],
    ) -> None:
        """Connect the board to Tune.

        Args:
            take: Takes the next stage to run, or returns why there is none.
            config_of: Returns the trial configuration of a stage.
            on_end: Takes the stage of an ended trial, and the trial's last report (None if the trial was lost). It has
                to report the end to the board.
            num_places: Returns how many workers of trials fit into the cluster.
        """
        super().__init__(metric="epoch", mode="max")
        self._take = take
        self._config_of = config_of
        self._on_end = on_end
        self._num_places = num_places
        # The stage of each trial that runs, or waits for its process, and the trial's number of workers.
        self._running: dict[str, tuple[StageId, int]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next stage's configuration; None if no stage may start now; FINISHED if no stage is left."""
        if not self._has_room():
            return None
        match answer := self._take():
            case StageId():
                config = self._config_of(answer)
                self._running[trial_id] = answer, config.get("num_workers", 1)
                return config
            case Answer.FINISHED:
                return str(self.FINISHED)
            case Answer.WAIT:
                return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report how a trial ended. Tune may call this twice for one trial."""
        stage, _ = self._running.pop(trial_id, (None, 0))
        if stage is not None:
            self._on_end(stage, None if error else result)

    def _has_room(self) -> bool:
        """Whether another trial may be offered: the others leave a place, or there is no other trial.

        A trial that needs more places than are left waits, and so does one that fits nowhere.
        """
        used = sum(num_workers for _, num_workers in self._running.values())
        return not self._running or used < self._num_places()

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: see the class."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its searcher for a restore that is never made. Locks and open files cannot be pickled.
        return (_Unrestorable, ())


class _Unrestorable(Searcher):
    """The stand-in for a `ChainSearcher` that is pickled and loaded: it suggests nothing."""

    def suggest(self, trial_id: str) -> str:
        return self.FINISHED
