"""The service as a state machine.

Users, Ray, drivers and the disk act in any order. The promises must hold after every step, and after all faults are
repaired, every experiment must end.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from service.states import RESTING, TERMINAL, ExperimentState
from tests.fuzz import looking
from tests.fuzz.known import Known
from tests.fuzz.looking import Json
from tests.fuzz.world import MAX_RUNNING, World
from tests.routes import READ_OF_ONE

MAX_POSTED = 7
# The largest number of rounds from the repair of all faults to the end of all experiments.
ROUNDS_TO_THE_END = 60
KEYS = st.sampled_from(["a", "b"])
# Routes that do not end while an experiment runs.
STREAMS = {"/events"}
# Routes that may answer 404 for an existing experiment: it may have no log yet, no such figure, or no verification with
# this number.
MAY_BE_MISSING = {"/figures/{figure}", "/logs", "/verifications/{number}"}
READ = [path for path in READ_OF_ONE if path not in MAY_BE_MISSING]
REQUESTS = {"cancel": "cancel", "pause": "pause", "resume": "run"}


def body(seeds: int, priority: int) -> Json:
    """Return a spec of one arm with two stages, 3 epochs for each chain."""
    stages = [{"kind": "train", "T": 2, "epochs": epochs, "loss": {"name": "sdt"}} for epochs in (2, 1)]
    return {
        "name": "fuzz",
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small"},
        "arms": [{"name": "SDT", "stages": stages}],
        "seeds": list(range(seeds)),
        "priority": priority,
    }


BODIES = st.builds(body, st.integers(1, 2), st.integers(0, 1))


class Service(RuleBasedStateMachine):
    """The state machine, whose rules are all possible actions. The test that runs it sets `world`."""

    world: World
    num_steps = 0  # of all runs together
    posted = Bundle("posted")

    @initialize(target=posted)
    def begin(self) -> Any:
        self.world.reset()
        self.known: dict[str, Known] = {}
        self.keys: dict[str, tuple[Json, str]] = {}
        return multiple(self.post(body(1, 0)), self.post(body(2, 0)))

    # -- users -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.known) < MAX_POSTED)
    @rule(target=posted, spec=BODIES)
    def post(self, spec: Json) -> str:
        return self._made(self.world.ask("POST", "/experiments", json=spec))

    @precondition(lambda self: len(self.known) < MAX_POSTED)
    @rule(target=posted, spec=BODIES, key=KEYS)
    def post_with_key(self, spec: Json, key: str) -> Any:
        answer = self.world.ask("POST", "/experiments", json=spec, headers={"Idempotency-Key": key})
        known = self.keys.get(key)
        if known is None or self.known[known[1]].is_gone:
            self.keys[key] = spec, self._made(answer)
            return self.keys[key][1]
        first = self.known[known[1]]
        assert answer.status_code == (409 if first.is_deleted or known[0] != spec else 202), answer.text
        assert answer.status_code == 409 or answer.json()["id"] == first.id
        return multiple()

    @precondition(lambda self: len(self.known) < MAX_POSTED)
    @rule(target=posted, parent=posted)
    def fork(self, parent: str) -> Any:
        answer = self._ask(parent, "POST", "/fork", Known.status_of_fork)
        return self._made(answer, (parent,)) if answer.status_code == 202 else multiple()

    @rule(experiment=posted)
    def rerun_best(self, experiment: str) -> None:
        self._ask(experiment, "POST", "/rerun-best", Known.status_of_rerun, json={"seeds": [100]})

    @rule(experiment=posted, what=st.sampled_from(sorted(REQUESTS)))
    def request(self, experiment: str, what: str) -> None:
        wanted = REQUESTS[what]
        answer = self._ask(experiment, "POST", f"/{what}", lambda known: known.status_of_request(wanted))
        if answer.status_code == 202 and self.known[experiment].state not in TERMINAL:
            self.known[experiment].wanted = wanted

    @rule(experiment=posted)
    def retry(self, experiment: str) -> None:
        known = self.known[experiment]
        answer = self._ask(experiment, "POST", "/retry", Known.status_of_retry)
        if answer.status_code == 202 and known.state in TERMINAL:
            known.wanted = "run"

    @rule(experiment=posted, what=st.sampled_from(["resume", "retry"]), num=st.integers(1, 3))
    def continue_with_workers(self, experiment: str, what: str, num: int) -> None:
        known = self.known[experiment]
        resources = {"resources": {"workers_per_trial": num}}
        answer = self._ask(
            experiment, "POST", f"/{what}", lambda each: each.status_with_workers(what, num), json=resources
        )
        if answer.status_code == 202:
            known.wanted = "run"
            self._look()
            assert known.view["num_workers"] == num

    @rule(experiment=posted, chain=st.integers(0, 1), stage=st.integers(0, 1))
    def verify(self, experiment: str, chain: int, stage: int) -> None:
        known = self.known[experiment]
        chain = min(chain, len(known.view["chains"]) - 1)
        wanted = {"chain": known.view["chains"][chain]["id"], "stage": stage}
        self._ask(experiment, "POST", "/verify", lambda each: each.status_of_verify(chain, stage), json=wanted)

    @rule(experiment=posted, what=st.sampled_from(["everything", "everything", "checkpoints"]))
    def delete(self, experiment: str, what: str) -> None:
        others = self.known.values()
        answer = self._ask(experiment, "DELETE", f"?what={what}", lambda known: known.status_of_removal(others))
        if answer.status_code == 202:
            self.known[experiment].removal = what

    @rule(experiment=posted)
    def read(self, experiment: str) -> None:
        known = self.known[experiment]
        for path in READ:
            if path in STREAMS and known.state not in TERMINAL:
                continue
            status = self.world.ask("GET", f"/experiments/{experiment}{path}").status_code
            assert status == (404 if known.is_deleted else 200), (path, status)

    # -- the service's own steps -------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3), hurry=st.booleans())
    def rounds(self, count: int, hurry: bool) -> None:
        if hurry:
            self.world.hurry()
        for _ in range(count):
            self.world.round()

    @rule(before=st.integers(1, 6))
    def two_reconcilers(self, before: int) -> None:
        self.world.hurry()
        self.world.interrupted_round(before, self.world.round)

    @precondition(lambda self: len(self.known) < MAX_POSTED)
    @rule(target=posted, before=st.integers(1, 6), seeds=st.integers(1, 2))
    def post_within_a_round(self, before: int, seeds: int) -> Any:
        """Post an experiment of a higher priority after one reconciler read the queue; another reconciler starts it."""
        posted = []

        def act() -> None:
            posted.append(self.post(body(seeds, 1)))
            self.world.round()

        self.world.interrupted_round(before, act)
        return multiple(*posted)

    @rule(before=st.integers(1, 6), experiment=posted, what=st.sampled_from(sorted(REQUESTS)))
    def request_within_a_round(self, before: int, experiment: str, what: str) -> None:
        def ask() -> None:
            self._look()
            self.request(experiment, what)

        self.world.interrupted_round(before, ask)

    @rule(before=st.integers(1, 6), which=st.integers(0, 9), epochs=st.integers(1, 7))
    def work_within_a_round(self, before: int, which: int, epochs: int) -> None:
        self.world.interrupted_round(before, lambda: self.driver_works(which, epochs, False))

    @rule()
    def tidy(self) -> None:
        self.world.tidy()

    # -- Ray and the drivers -----------------------------------------------------------------------------------

    @rule()
    def jobs_start(self) -> None:
        for name in self.world.live_jobs():
            if self.world.ray.jobs[name]["status"] == "PENDING":
                self.world.start_job(name)

    @rule(which=st.integers(0, 9), epochs=st.integers(1, 7), silent=st.booleans())
    def driver_works(self, which: int, epochs: int, silent: bool) -> None:
        """Commit some epochs; the driver ends if fewer are left. Its events may be written later."""
        alive = [driver for driver in self._drivers() if driver.alive]
        if alive:
            driver = alive[which % len(alive)]
            for _ in range(epochs):
                if driver.alive:
                    driver.commit()
            if not silent:
                driver.write_events()

    @rule(epochs=st.integers(1, 7))
    def everything_continues(self, epochs: int) -> None:
        """Run a round, start the jobs, let the drivers work, and run another round, as without faults."""
        self.world.round()
        self.jobs_start()
        for which in range(MAX_RUNNING):
            self.driver_works(which, epochs, False)
        self.world.round()

    @rule(which=st.integers(0, 9))
    def stage_fails(self, which: int) -> None:
        alive = [driver for driver in self._drivers() if driver.alive]
        if alive:
            alive[which % len(alive)].fail()

    @rule()
    def drivers_write_events(self) -> None:
        """Write all unwritten events, also those of drivers that ended long ago."""
        for driver in self._drivers():
            driver.write_events()

    @rule(with_outcome=st.booleans())
    def drivers_stop(self, with_outcome: bool) -> None:
        """Stop the drivers that Ray was asked to stop; without an outcome, as after SIGKILL."""
        for name in self.world.live_jobs():
            driver = self.world.drivers.get(name)
            if name in self.world.ray.stops and driver is not None and driver.alive:
                if with_outcome:
                    driver.stop()
                driver.alive = False
                self.world.ray.end(name, "STOPPED")

    @rule()
    def jobs_end(self) -> None:
        self.world.end_jobs()

    @rule(which=st.integers(0, 9))
    def job_dies(self, which: int) -> None:
        if names := self.world.live_jobs():
            name = names[which % len(names)]
            if name in self.world.drivers:
                self.world.drivers[name].alive = False
            self.world.ray.end(name)

    @rule(which=st.integers(0, 9), zombie=st.booleans())
    def job_vanishes(self, which: int, zombie: bool) -> None:
        """Let Ray forget a job, as after a crash of the head; the job's process may continue."""
        if names := self.world.live_jobs():
            name = names[which % len(names)]
            del self.world.ray.jobs[name]
            if name in self.world.drivers:
                self.world.drivers[name].alive &= zombie

    @rule(which=st.integers(0, 9), dies=st.booleans())
    def replay_continues(self, which: int, dies: bool) -> None:
        if names := self.world.replays():
            name = names[which % len(names)]
            if dies:
                self.world.ray.end(name)
            else:
                self.world.advance_replay(name)

    # -- faults ------------------------------------------------------------------------------------------------

    @rule(broken=st.booleans())
    def ray_is_away(self, broken: bool) -> None:
        self.world.ray.broken = broken

    @rule(lost=st.booleans())
    def answers_are_lost(self, lost: bool) -> None:
        self.world.ray.loses_answers = lost

    @rule(full=st.booleans())
    def storage_fills(self, full: bool) -> None:
        self.world.storage_is_full = full

    # -- the promises ------------------------------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        Service.num_steps += 1
        self._look()
        not_resting = [known for known in self.known.values() if not known.is_deleted and known.state not in RESTING]
        num_running = sum(known.state not in TERMINAL for known in not_resting)
        assert num_running <= MAX_RUNNING, f"{num_running} run at once"
        self._check_jobs()
        for known in self.known.values():
            if known.is_gone:
                assert looking.leftovers(self.world.database.engine, self.world.settings, known.id) == [], known

    def teardown(self) -> None:
        """Repair all faults, resume paused experiments, and check that every experiment ends and can be deleted."""
        if not hasattr(self, "known"):
            return
        self.world.heal()
        for experiment, known in self.known.items():
            if known.wanted == "pause" and not known.is_deleted and known.state not in TERMINAL:
                self.request(experiment, "resume")
        for _ in range(ROUNDS_TO_THE_END):
            self._run_without_faults()
            if all(known.is_deleted or known.state in TERMINAL for known in self.known.values()):
                break
        for known in self.known.values():
            assert known.is_deleted or known.state in TERMINAL, f"has not ended: {known}"
        self._delete_everything()

    def _run_without_faults(self) -> None:
        self.world.hurry()
        self.world.round()
        self.drivers_stop(with_outcome=True)
        self.jobs_start()
        for driver in self._drivers():
            for _ in range(10):
                if driver.alive:
                    driver.commit()
        self.drivers_write_events()
        self.world.end_jobs()
        for name in self.world.replays():
            self.world.advance_replay(name)
        self.promises_hold()

    def _delete_everything(self) -> None:
        """Delete all experiments, forks before their parents, and check that nothing is left."""
        for known in reversed(self.known.values()):
            if not known.is_deleted:
                self.delete(known.id, "everything")
            self.world.tidy()
            self._look()
        assert all(known.is_gone for known in self.known.values())
        self.promises_hold()
        assert self.world.ask("GET", "/experiments").json()["experiments"] == []

    # -- helpers--------------------------------------------------------------------------------------------------

    def _made(self, answer: Any, parents: tuple[str, ...] = ()) -> str:
        assert answer.status_code == 202, answer.text
        experiment = str(answer.json()["id"])
        assert experiment not in self.known
        self.known[experiment] = Known(experiment, parents)
        self._look()
        return experiment

    def _ask(self, experiment: str, method: str, path: str, predicted: Callable[[Known], int], **arguments: Any) -> Any:
        """Make a request; check its predicted status, and that a refused request changes nothing."""
        known = self.known[experiment]
        answer = self.world.ask(method, f"/experiments/{experiment}{path}", **arguments)
        assert answer.status_code == predicted(known), f"{answer.text}, but known is {known}"
        if answer.status_code >= 400 and not known.is_deleted:
            assert looking.views(self.world.database.engine)[experiment] == known.view, (
                "a refused request changed something"
            )
        return answer

    def _look(self) -> None:
        """Read and check the events and views of all experiments."""
        for event in looking.events(self.world.database.engine):
            self.known[event.experiment_id].hear(event.id, event.data)
        views = looking.views(self.world.database.engine)
        for known in self.known.values():
            if known.is_deleted:
                known.is_gone = known.id not in views
            else:
                known.see(views[known.id])
                assert known.event_state is known.state, known

    def _drivers(self) -> list[Any]:
        return [*self.world.drivers.values(), *self.world.zombies]

    def _check_jobs(self) -> None:
        """Check that an experiment has at most one live job, and none with work to do after the experiment's end."""
        busy = [name for name in self.world.live_jobs() if self.world.may_work(name)]
        owners = Counter(self.world.ray.jobs[name]["metadata"]["experiment"] for name in busy)
        assert all(count == 1 for count in owners.values()), f"two live jobs: {busy}"
        for name in busy:
            known = self.known[self.world.ray.jobs[name]["metadata"]["experiment"]]
            if known.is_deleted or known.state in TERMINAL:
                driver = self.world.drivers.get(name)
                idle = driver is not None and driver.journal.next_stage(driver.generation) is None
                assert idle or driver is None, f"{name} still works for an experiment that is {known.state}"
                assert idle or known.view.get("state") != ExperimentState.CANCELLED, (
                    f"{name} will start for a cancelled experiment"
                )
