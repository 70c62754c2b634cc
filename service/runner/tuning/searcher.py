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
        num_slots: Callable[[], int],
    ) -> None:
        """Connect the board to Tune.

        Args:
            take: Takes the next stage to run, or returns why there is none.
            config_of: Returns the trial configuration of a stage.
            on_end: Takes the stage of an ended trial, and the trial's last report (None if the trial was lost). It has
                to report the end to the board.
            num_slots: Returns how many trials fit into the cluster.
        """
        super().__init__(metric="epoch", mode="max")
        self._take = take
        self._config_of = config_of
        self._on_end = on_end
        self._num_slots = num_slots
        self._running: dict[str, StageId] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next stage's configuration; None if no stage may start now; FINISHED if no stage is left."""
        if len(self._running) >= self._num_slots():
            return None
        match answer := self._take():
            case StageId():
                self._running[trial_id] = answer
                return self._config_of(answer)
            case Answer.FINISHED:
                return str(self.FINISHED)
            case Answer.WAIT:
                return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report how a trial ended. Tune may call this twice for one trial."""
        stage = self._running.pop(trial_id, None)
        if stage is not None:
            self._on_end(stage, None if error else result)

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
