"""Tests of running searches: their proposals and decisions, also when drivers are killed."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from service.failures import Failure, FailureType
from service.plan import plan
from service.runner.chains.board import StageId
from service.runner.chains.journal import Decision, Proposal, as_proposed
from service.spec import Experiment, parse
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.chains.playing import Player, entries, played
from tests.unit.service.runner.writing import write
from tests.unit.service.spec.test_spec import spec, tet, train

ASHA = {"name": "asha", "grace_epochs": 1, "reduction_factor": 3}
MEDIAN = {"name": "median", "grace_epochs": 2}
LR = {"optimizer.lr": {"log_range": [1e-4, 1.0]}}
ARMS = [
    {"name": "SDT", "stages": [train(epochs=10)]},
    {"name": "TIT", "stages": [train(T=2, epochs=4, loss=tet()), train(epochs=3, loss=tet())]},
]


def searched(
    method: str = "random",
    stopping: dict[str, Any] | None = ASHA,
    seeds: tuple[int, ...] = (0,),
    num: int = 12,
    space: dict[str, Any] = LR,
    **others: Any,
) -> Experiment:
    search = {"method": method, "num_configurations": num, "space": space, **others}
    if method == "grid":
        del search["num_configurations"]
    keys = {} if stopping is None else {"early_stopping": stopping}
    return parse(spec(arms=ARMS, seeds=list(seeds), search=search, validation=0.1, **keys))


def new_folder(path: Path, name: str) -> ExperimentFolder:
    folder = ExperimentFolder(path, name)
    folder.path.mkdir(parents=True)
    return folder


def kills(seed: int, most: int) -> Any:
    draws = random.Random(seed)
    return iter([draws.randint(0, most) for _ in range(30)])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "grid", "tpe"])
@pytest.mark.parametrize("stopping", [ASHA, MEDIAN, None], ids=["asha", "median", "none"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)], ids=["1 seed", "2 seeds"])
def test_a_search_of_one_chain_at_a_time_decides_the_same_when_its_drivers_are_killed(
    tmp_path: Path, method: str, stopping: dict[str, Any] | None, seeds: tuple[int, ...]
) -> None:
    space = {"optimizer.lr": {"log_range": [1e-4, 1.0], "points": 12}} if method == "grid" else LR
    experiment = searched(method, stopping, seeds, space=space, max_concurrent=1)
    undisturbed, killed = new_folder(tmp_path, "undisturbed"), new_folder(tmp_path, "killed")
    assert played(experiment, undisturbed) == 1
    assert played(experiment, killed, kill_after=kills(len(seeds), 25)) > 5
    assert entries(killed) == entries(undisturbed)
    assert best(experiment, killed) == best(experiment, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "tpe"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)], ids=["1 seed", "3 seeds"])
def test_a_search_of_many_chains_at_a_time_repeats_and_reverses_nothing_when_its_drivers_are_killed(
    tmp_path: Path, method: str, seeds: tuple[int, ...]
) -> None:
    experiment = searched(method, ASHA, seeds, num=20)
    folder = new_folder(tmp_path, "killed")
    earlier: list[Any] = []
    kill_after = kills(7, 60)
    for number in range(1, 100):
        player = Player(experiment, folder, number, slots=4)
        steps = next(kill_after, None)
        for step, _ in enumerate(player.play()):
            if steps is not None and step >= steps:
                break
        else:
            break
        player.events.close()
        now = entries(folder)
        assert now[: len(earlier)] == earlier
        earlier = now
    decided = Counter(
        (each.arm, each.number, each.stage, each.epoch) for each in entries(folder) if isinstance(each, Decision)
    )
    assert set(decided.values()) == {1}
    proposed = Counter((each.arm, each.number) for each in entries(folder) if isinstance(each, Proposal))
    assert set(proposed.values()) <= {1}
    values = [(chain.arm, chain.seed, *chain.hyperparameters.items()) for chain in player.ledger.chains.values()]
    assert len(set(values)) == len(values) == 2 * 20 * len(seeds)
    states = {player.ledger.chain_state(chain) for chain in player.ledger.chains.values()}
    assert states == {WorkState.SUCCEEDED, WorkState.STOPPED}


def test_random_proposals_depend_neither_on_their_number_nor_on_early_stopping() -> None:
    drawn = [
        [chain.hyperparameters for chain in plan(searched(num=num, stopping=rule))]
        for num in (5, 12)
        for rule in (None, ASHA)
    ]
    assert drawn[0] == drawn[1] == drawn[2][: len(drawn[0])] == drawn[3][: len(drawn[0])]


def test_a_search_that_learns_starts_at_random_and_then_tries_better_values(tmp_path: Path) -> None:
    experiment = searched("tpe", None, num=30)
    folder = new_folder(tmp_path, "tpe")
    played(experiment, folder)
    tried = [
        each.values["optimizer.lr"]
        for each in entries(folder)
        if isinstance(each, Proposal) and each.arm == "SDT" and each.values
    ]
    at_random = [chain.hyperparameters["optimizer.lr"] for chain in plan(searched(num=10)) if chain.arm == "SDT"]
    assert tried[:10] == at_random

    def near(values: list[float]) -> float:
        return sum(0.002 < value < 0.05 for value in values) / len(values)

    assert near(tried[10:]) > 1.5 * near(at_random)


def test_an_arm_with_one_configuration_is_never_judged(tmp_path: Path) -> None:
    experiment = searched(space={"arms.TIT.loss.lamb": {"range": [0.0, 1.0]}}, seeds=(0, 1), num=3)
    folder = new_folder(tmp_path, "one")
    played(experiment, folder)
    assert {each.arm for each in entries(folder)} == {"TIT"}
    attempts = [len(folder.stage(chain.id, 0).attempt_numbers()) for chain in plan(experiment) if chain.arm == "SDT"]
    assert attempts == [1, 1]


def test_a_later_driver_keeps_waiting_chains_waiting(tmp_path: Path) -> None:
    experiment = searched(seeds=(0, 1), num=3, max_concurrent=1)
    folder = new_folder(tmp_path, "later")
    player = Player(experiment, folder, 1)
    steps = player.play()
    while "decided" not in next(steps):  # the first seed is at the first rung, and waits
        pass
    player.events.close()
    later = Player(experiment, folder, 2)
    later.events.close()
    assert later.study.take_consequences() == []
    waiting = [chain.id for chain in plan(experiment) if later.study.waits(chain.id)]
    assert len(waiting) == 1
    taken = later.board.take()
    assert isinstance(taken, StageId)
    assert taken.chain not in waiting


def test_a_breakdown_does_not_stop_a_chain_that_has_ended_even_if_clocks_differ(
    tmp_path: Path,
) -> None:
    experiment = searched(stopping=None, seeds=(0, 1), num=2)
    player = Player(experiment, new_folder(tmp_path, "clocks"), 1)  # the player's clock starts at 1
    first, second = [chain for chain in plan(experiment) if (chain.arm, chain.number) == ("SDT", 0)]
    write(player.folder.stage(first.id, 0), 10, of=10)
    player.ledger.refresh(StageId(first.id, 0))
    write(player.folder.stage(second.id, 0), 1, of=10)
    player.ledger.refresh(StageId(second.id, 0))
    assert player.study.break_down(StageId(second.id, 0), Failure.of(FailureType.NOT_FINITE, "the loss is nan"))
    player.events.close()
    for driver in (player, Player(experiment, player.folder, 2)):
        assert driver.ledger.chain_state(first) is WorkState.SUCCEEDED
        assert driver.ledger.chain_state(second) is WorkState.STOPPED
        assert driver.ledger.stop_of(first) is None
    driver.events.close()


def test_the_proposed_values_of_a_chain_can_be_read_again(tmp_path: Path) -> None:
    experiment = searched("tpe", None, num=12)
    folder = new_folder(tmp_path, "tpe")
    player = Player(experiment, folder, 1)
    list(player.play())
    for chain in plan(experiment):
        assert not chain.proposed
        assert as_proposed(experiment, chain, folder.search) == player.ledger.chains[chain.id]


def best(experiment: Experiment, folder: ExperimentFolder) -> tuple[float, str]:
    player = Player(experiment, folder, 1_000)
    player.events.close()
    ledger = player.ledger
    ended = [chain for chain in ledger.chains.values() if ledger.chain_state(chain) is WorkState.SUCCEEDED]
    return max(
        (last.metrics["val/accuracy"], chain.id)
        for chain in ended
        if (last := ledger.progress(StageId(chain.id, chain.stages[-1].index)).last)
    )
