"""The scheduler of trials: it gives free processes to waiting trials, and ends trials that do not continue.

Without this scheduler, Tune gives a free process to the trial that has waited longest, and ends the process that it is
starting for that trial. If trials are shorter than the start of a process, each trial that ends would cancel such a
start shortly before the new process is ready.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class PatientScheduler(FIFOScheduler):
    """Gives a free process to the first waiting trial for which no process is being started.

    If a process is being started for each waiting trial, the scheduler chooses no trial, and Tune gives the free
    process to any waiting trial.

    Args:
        goes_on: Given a trial's configuration and report, returns whether the trial continues; None: all continue.
    """

    def __init__(self, goes_on: Callable[[dict[str, Any], dict[str, Any]], bool] | None = None) -> None:
        super().__init__()
        self._goes_on = goes_on
        # Waiting trials, and some that no longer wait, in the order in which they were offered.
        self._added: dict[str, Trial] = {}
        self._controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Note that Tune holds a trial ready."""
        # The wrapper that schedulers get does not say for which trials a process is being started.
        self._controller = tune_controller._tune_controller
        self._added[trial.trial_id] = trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let a trial continue, or end it, so that its process is free at once."""
        goes_on = self._goes_on is None or result.get("done") or self._goes_on(trial.config, result)
        return str(self.CONTINUE if goes_on else self.STOP)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the first waiting trial for which no process is being started; None if there is none."""
        return next((trial for trial in self._all_waiting() if not _is_starting(self._controller, trial)), None)

    def use_process_again(self, is_wanted: bool) -> None:
        """Say whether another trial may run in the process of the trial that has just ended.

        Call it when Tune tells its callbacks of the end. Without the call, what the call before has said holds.
        """
        assert hasattr(self._controller, "_reuse_actors"), "Tune decides elsewhere whether a process is used again"
        self._controller._reuse_actors = is_wanted

    @property
    def has_waiting(self) -> bool:
        """Whether Tune holds a trial that waits for a process."""
        return bool(self._all_waiting())

    def withdraw(self, is_wanted: Callable[[dict[str, Any]], bool]) -> None:
        """End the waiting trials whose configuration is no longer wanted. Tune reports their end as usual.

        Call it between Tune's events. It releases the resources that Tune has reserved for such a trial.
        """
        for trial in self._all_waiting():
            if not is_wanted(trial.config):
                self._unstage(trial)
                self._controller.stop_trial(trial)

    def _unstage(self, trial: Trial) -> None:
        """Release the resources of a trial that is ended before it starts. Tune would keep a free process for it."""
        controller = self._controller
        controller._resetting_trials.discard(trial)
        if trial in controller._staged_trials:
            controller._staged_trials.remove(trial)
            controller._actor_cache.decrease_max(trial.placement_group_factory)

    def _all_waiting(self) -> list[Trial]:
        return [*_waiting(self._added)]

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its scheduler for a restore that is never made. Locks and open files cannot be pickled.
        return (PatientScheduler, ())


def _waiting(trials: dict[str, Trial]) -> Iterator[Trial]:
    """Yield the trials that still wait, in order, and delete the other trials from `trials`."""
    for trial_id, trial in [*trials.items()]:
        if trial.status == Trial.PENDING:
            yield trial
        else:
            del trials[trial_id]


def _is_starting(controller: Any, trial: Trial) -> bool:
    actor = controller._trial_to_actor.get(trial)
    return actor is not None and controller._actor_manager.is_actor_started(actor)
