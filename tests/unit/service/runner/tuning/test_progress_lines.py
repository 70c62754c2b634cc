"""Tests of the lines about an experiment's progress in the driver's log."""

from typing import Any

import pytest

from service.plan import plan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import ChainStop, Ledger
from service.runner.tuning.progress_lines import MAX_INTERVAL_S, MIN_INTERVAL_S, ProgressLines
from service.spec import parse
from service.storage import ExperimentFolder
from tests.unit.service.runner.conftest import ARMS
from tests.unit.service.runner.writing import begin, write
from tests.unit.service.spec.test_spec import spec


class Desk:
    """An experiment of SDT (3 epochs at T=4) and TIT (2 epochs at T=2, 1 at T=4), each with two seeds, and a clock."""

    def __init__(self, folder: ExperimentFolder) -> None:
        folder.driver(1).mkdir(parents=True)
        self.folder, self.now = folder, 100.0
        self.written: list[str] = []
        self.spec = parse(spec(arms=ARMS, seeds=[0, 1]))
        events = EventFile(folder.events(1))
        self.ledger = Ledger(folder, plan(self.spec), events)
        events.close()
        self.ids = {(chain.arm, chain.seed): chain.id for chain in self.ledger.chains.values()}
        self.lines = self.new_lines()

    def new_lines(self, search: Any = None) -> ProgressLines:
        return ProgressLines(self.ledger, search, lambda: self.now, self.written.append)

    def commit(self, stage: StageId, epochs: int, of: int) -> None:
        write(self.folder.stage(stage.chain, stage.index), epochs, of)
        self.ledger.refresh(stage)


@pytest.fixture
def desk(experiment: ExperimentFolder) -> Desk:
    return Desk(experiment)


def test_a_line_says_what_is_done_what_runs_where_and_how_long_it_takes(desk: Desk) -> None:
    assert desk.lines.line() == "0/12 epochs; 0/4 chains succeeded; nothing runs"
    first, second = StageId(desk.ids["TIT", 0], 0), StageId(desk.ids["TIT", 0], 1)
    desk.lines.began(first)
    assert desk.lines.line().endswith("; running: TIT · seed 0 · stage 1 of 2 · T=2 (0/2)")
    desk.commit(first, 2, of=2)
    desk.lines.ended(first)
    desk.lines.began(second)
    begin(desk.folder.stage(second.chain, second.index))
    host = desk.ledger.refresh(second).started[0].host
    # Of 2·(3·4) + 2·(2·2 + 1·4) = 40 epochs times T, 4 are done after 10 s.
    desk.now += 10
    running = f"running: TIT · seed 0 · stage 2 of 2 · T=4 (0/1 on {host})"
    assert desk.lines.line() == f"2/12 epochs; 0/4 chains succeeded; 1:30 left; {running}"


def test_of_a_chain_that_is_over_nothing_is_left(desk: Desk) -> None:
    lines = desk.new_lines(search=object())
    lines.began(StageId(desk.ids["SDT", 1], 0))
    lines.line()
    for arm in ("SDT", "TIT"):
        desk.ledger.record_stop(desk.ids[arm, 0], ChainStop(at_ms=1, reason="worse"))
    desk.commit(StageId(desk.ids["SDT", 1], 0), 3, of=3)
    desk.now += 12
    lines.began(StageId(desk.ids["TIT", 1], 0))
    # 12 epochs times T took 12 s; 8 are left.
    assert ", ".join(lines.line().split("; ")[:3]) == "3/12 epochs, 1/4 chains succeeded, 2 stopped"
    assert "; at most 8.0 s left; " in lines.line()


def test_many_running_trials_are_counted(desk: Desk) -> None:
    for chain in desk.ids.values():
        desk.lines.began(StageId(chain, 0))
    desk.lines.began(StageId(desk.ids["TIT", 0], 1))
    named = [
        *("SDT · seed 0 · stage 1 of 1 · T=4 (0/3)", "TIT · seed 0 · stage 1 of 2 · T=2 (0/2)"),
        *("SDT · seed 1 · stage 1 of 1 · T=4 (0/3)", "TIT · seed 1 · stage 1 of 2 · T=2 (0/2)"),
    ]
    assert desk.lines.line().endswith(f"; running: {', '.join(named)} and 1 more")


def test_lines_come_every_few_seconds_and_later_every_minute(desk: Desk) -> None:
    def count(seconds: float) -> int:
        before, end = len(desk.written), desk.now + seconds
        while desk.now < end:
            desk.lines.look()
            desk.now += 1
        return len(desk.written) - before

    assert count(10 * MIN_INTERVAL_S) == 10
    count(100 * MAX_INTERVAL_S)
    assert count(5 * MAX_INTERVAL_S) == 5
