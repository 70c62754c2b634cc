"""Tests of the referee: which seeds run, what decides, and what kills, failures and retries change."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.failures import Failure, FailureType
from service.plan import Chain, plan
from service.runner.chains.journal import DecidedPair, PairJournal
from service.spec import Experiment, parse
from service.states import WorkState
from service.statistics.until import PairDecision, SeedOutcome, decide_arms, stop_goal
from service.statistics.verdict import Verdict
from service.storage import ExperimentFolder
from tests.unit.service.runner.chains.playing import Formula, Player
from tests.unit.service.spec.test_spec import spec, tet, train

DATA = Failure.of(FailureType.DATA, "no folder")


def until(*arms: str, at_most: int = 14, goal: object = "decided", ahead: int = 2, **changes: Any) -> Experiment:
    """Return an experiment with one stage an arm: the first of them has two epochs, the others one."""
    stages = [[train(epochs=2)], *([train(epochs=1, loss=tet())] for _ in arms[1:])]
    seeds = {"first": 3, "at_most": at_most, "until": goal, "ahead": ahead}
    named = [{"name": name, "stages": each} for name, each in zip(arms, stages, strict=True)]
    return parse(spec(arms=named, baseline=arms[0], seeds=seeds, **changes))


def gains(of_arms: dict[str, float], spread: float = 0.01, draw: int = 0) -> Formula:
    """Return a formula: each arm is ahead by a gain that varies with the seed."""

    def accuracy(chain: Chain, epoch: int) -> float:
        draws = random.Random(f"{draw} {chain.arm} {chain.seed}")
        return 0.5 + 0.01 * chain.seed + of_arms.get(chain.arm, 0.0) + draws.gauss(0, spread)

    return accuracy


@dataclass
class Match:
    """An experiment that is played by one driver after the other."""

    spec: Experiment
    folder: ExperimentFolder
    formula: Formula
    failure_of: Callable[[Chain], Failure | None] = lambda chain: None
    weights_of: Callable[[Chain], str] = lambda chain: "aa"

    def play(self, *kills: int, slots: int = 4, order: int = 0, generation: int = 1) -> Player:
        """Play to the end; the first drivers are killed after these numbers of steps. Return the last driver."""
        draws = random.Random(order)
        for number in count(len(self.folder.driver_numbers()) + 1):
            of_trials = self.formula, draws.randrange, self.failure_of, self.weights_of
            player = Player(self.spec, self.folder, number, slots, *of_trials, generation)
            steps, kills = (kills[0], kills[1:]) if kills else (None, ())
            for step, _ in enumerate(player.play()):
                if step == steps:
                    player.events.close()
                    break
            else:
                return player
        raise AssertionError("unreachable")

    def journal(self) -> list[DecidedPair]:
        entries = [each.model_copy(update={"at_ms": 0}) for each in PairJournal(self.folder.decided).news()]
        return sorted(entries, key=lambda each: each.arm)


def new_folder(path: Path) -> ExperimentFolder:
    folder = ExperimentFolder(path, secrets.token_hex(10))
    folder.path.mkdir(parents=True)
    return folder


def states(player: Player, arm: str) -> list[WorkState]:
    return [player.ledger.chain_state(chain) for chain in player.ledger.chains.values() if chain.arm == arm]


S, X, W = WorkState.SUCCEEDED, WorkState.STOPPED, WorkState.WAITING


def test_the_experiment_ends_at_the_seed_that_decides_and_its_other_chains_are_stopped(tmp_path: Path) -> None:
    match = Match(until("SDT", "TET"), new_folder(tmp_path), gains({"TET": 0.03}))
    player = match.play(slots=1)
    (entry,) = match.journal()
    assert (entry.arm, entry.to, entry.verdict, entry.seed) == ("TET", "SDT", Verdict.BETTER, 3 + entry.n - 1)
    assert 5 <= entry.n < 12
    assert states(player, "TET") == [S] * entry.n + [X] * (14 - entry.n)
    stopped = [chain for chain in player.ledger.chains.values() if player.ledger.chain_state(chain) is X]
    reasons = {stop.reason for chain in stopped if (stop := player.ledger.stop_of(chain)) is not None}
    assert reasons == {f"not needed: the pairs of {arm!r} were decided by seed {entry.seed}" for arm in ("SDT", "TET")}
    assert all(player.referee.needs(chain) == (player.ledger.chain_state(chain) is S) for chain in plan(match.spec))


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    draw=st.integers(0, 1000),
    slots=st.integers(1, 12),
    ahead=st.integers(0, 6),
    kills=st.lists(st.integers(0, 60), max_size=4),
)
def test_neither_order_nor_room_nor_kills_change_a_decision(
    tmp_path: Path, draw: int, slots: int, ahead: int, kills: list[int]
) -> None:
    experiment = until("SDT", "TET", "TIT", ahead=ahead)
    match = Match(experiment, new_folder(tmp_path), gains({"TET": 0.02, "TIT": -0.03}, draw=draw))
    player = match.play(*kills, slots=slots, order=draw)
    assert player.board.over
    chains = plan(experiment)
    values = {
        arm: [SeedOutcome(match.formula(chain, 2)) for chain in chains if chain.arm == arm]
        for arm in ("SDT", "TET", "TIT")
    }
    expected = {arm: decide_arms(values[arm], values["SDT"], stop_goal(2, None, None)) for arm in ("TET", "TIT")}
    found = {each.arm: PairDecision(each.n, each.verdict, each.low, each.high) for each in match.journal()}
    assert found == {arm: decision for arm, decision in expected.items() if decision is not None}
    for arm in ("TET", "TIT"):
        decision = expected[arm]
        assert states(player, arm)[: decision.n if decision else 14] == [S] * (decision.n if decision else 14)
        assert W not in states(player, arm)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_no_seed_runs_further_ahead_than_the_spec_says(tmp_path: Path, ahead: int) -> None:
    match = Match(until("SDT", "TET", ahead=ahead), new_folder(tmp_path), gains({}, spread=0.0))
    player = Player(match.spec, match.folder, 1, 30, match.formula, random.Random(ahead).randrange)
    seen = []
    for step in player.play():
        if step.startswith("proposed"):
            ended = [[state is S for state in states(player, arm)] for arm in ("SDT", "TET")]
            complete = ([*map(all, zip(*ended, strict=True)), False]).index(False)
            seed = player.ledger.chains[step.split("'")[1]].seed - 3
            seen.append(seed - complete)
            assert seed < 5 or seed - complete <= ahead
    assert max(seen[10:]) == ahead
    assert match.journal() == []  # the arms are equal
    assert states(player, "SDT") == [S] * 14


def test_a_failed_seed_blocks_its_pair_alone_until_it_is_retried(tmp_path: Path) -> None:
    def failure_of(chain: Chain) -> Failure | None:
        return DATA if (chain.arm, chain.seed) == ("TET", 5) else None

    match = Match(until("SDT", "TET", "TIT"), new_folder(tmp_path), gains({"TET": 0.05, "TIT": 0.05}), failure_of)
    blocked = match.play()
    assert [entry.arm for entry in match.journal()] == ["TIT"]
    assert states(blocked, "TET")[2] is WorkState.FAILED
    assert states(blocked, "TET")[6:] == [W] * 8  # the first six always run
    assert blocked.board.over
    first = match.journal()
    match.failure_of = lambda chain: None
    retried = match.play(generation=2)
    assert [entry.arm for entry in match.journal()] == ["TET", "TIT"]
    assert match.journal()[1:] == first
    assert W not in states(retried, "SDT")


def test_a_chain_that_fails_beyond_the_decision_is_not_needed(tmp_path: Path) -> None:
    def failure_of(chain: Chain) -> Failure | None:
        return DATA if chain.seed > 3 + 5 else None

    match = Match(until("SDT", "TET", ahead=9), new_folder(tmp_path), gains({"TET": 0.05}, spread=0.003), failure_of)
    # The first seed ends last.
    player = Player(match.spec, match.folder, 1, 30, match.formula, lambda running: running - 1, failure_of)
    list(player.play())
    (entry,) = match.journal()
    failed = player.board.failed_chains
    assert entry.n <= 6
    assert failed
    assert not any(map(player.referee.needs, failed))


def test_arms_that_start_from_different_weights_end_as_not_comparable(tmp_path: Path) -> None:
    match = Match(until("SDT", "TET"), new_folder(tmp_path), gains({}), weights_of=lambda chain: chain.arm)
    player = match.play(slots=2)
    (entry,) = match.journal()
    assert (entry.n, entry.verdict, entry.low) == (1, Verdict.NOT_COMPARABLE, None)
    assert states(player, "TET")[3:] == [X] * 11


def test_a_half_width_and_a_margin_end_the_experiment_too(tmp_path: Path) -> None:
    alike = gains({}, spread=0.002)
    match = Match(until("SDT", "TET", margin=0.01), new_folder(tmp_path), alike)
    match.play()
    (entry,) = match.journal()
    assert entry.verdict is Verdict.EQUIVALENT
    match = Match(until("SDT", "TET", goal={"half_width": 0.01}), new_folder(tmp_path), alike)
    match.play()
    (entry,) = match.journal()
    assert entry.low is not None
    assert entry.high is not None
    assert entry.high - entry.low <= 0.02


def test_of_two_drivers_the_first_to_write_decides(tmp_path: Path) -> None:
    match = Match(until("SDT", "TET"), new_folder(tmp_path), gains({"TET": 0.05}))
    early = Player(match.spec, match.folder, 1, 1, match.formula)
    match.play(slots=1)
    before = [*PairJournal(match.folder.decided).news()]
    for stage in early.ledger.stages():
        early.ledger.refresh(stage)
    for chain in [*early.ledger.chains.values()]:
        early.referee.chain_ended(chain)
    assert [*PairJournal(match.folder.decided).news()] == before
    assert {chain.id for each in early.referee.take_consequences() if not each.goes_on for chain in each.chains}
    early.events.close()


def test_a_list_of_seeds_is_left_alone(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    experiment = parse(spec(arms=[{"name": "SDT", "stages": [train(epochs=1)]}], seeds=[4, 2]))
    player = Player(experiment, folder, 1)
    list(player.play())
    assert not folder.decided.exists()
    assert states(player, "SDT") == [S, S]
    assert all(map(player.referee.needs, plan(experiment)))
