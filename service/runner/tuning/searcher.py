"""The board as a Ray Tune searcher: a trial is one attempt at one stage, offered the moment it may run."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from service.runner.chains.board import Answer, StageId


class ChainSearcher(Searcher):
    """Offers what the board has ready and tells `on_end` how each trial ended.

    Nothing of it is saved: what is committed on storage is all that a later driver needs.
    """

    def __init__(
        self,
        take: Callable[[], StageId | Answer],
        config_of: Callable[[StageId], dict[str, Any]],
        on_end: Callable[[StageId, dict[str, Any] | None], None],
    ) -> None:
        """Wire the board to Tune.

        Args:
            take: the next stage to run, or why there is none.
            config_of: a stage's trial configuration.
            on_end: told of each trial that ended, with its last result, or None where the trial was lost. It has to
                tell the board.
        """
        super().__init__(metric="epoch", mode="max")
        self._take = take
        self._config_of = config_of
        self._on_end = on_end
        self._running: dict[str, StageId] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next stage's configuration; None while there is nothing to start; FINISHED when nothing is left."""
        stage = self._take()
        if isinstance(stage, StageId):
            self._running[trial_id] = stage
            return self._config_of(stage)
        return self.FINISHED if stage is Answer.FINISHED else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell how a trial ended; Tune may say so twice."""
        stage = self._running.pop(trial_id, None)
        if stage is not None:
            self._on_end(stage, None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: see the class."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its searcher for a restore that is never made; locks and open files must not go along.
        return (_Unrestorable, ())


class _Unrestorable(Searcher):
    """What a pickled `ChainSearcher` comes back as."""

    def suggest(self, trial_id: str) -> str:
        return self.FINISHED
