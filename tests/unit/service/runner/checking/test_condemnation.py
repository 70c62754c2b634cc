"""Tests of the outcome of a check, with reports in real files; the test plays the other node."""

from collections.abc import Iterator, Sequence
from itertools import count

import pytest

from service.failures import Failure, FailureType
from service.plan import Chain, plan
from service.runner.chains.board import StageId
from service.runner.checking.check_records import CheckFault, CheckReport, FaultScope, read_report, write_report
from service.runner.checking.check_subjects import data_key, subject_key, trained
from service.runner.checking.condemnation import LATE_LOOK_EVERY_S, MAX_TRIES, Condemnation
from service.runner.checking.second_opinion import StoppedAsking
from service.spec import parse
from service.storage import ExperimentFolder
from tests.unit.service.runner.conftest import ARMS
from tests.unit.service.spec.test_spec import spec
from tet_core.config import TrainConfig

MISSING = Failure.of(FailureType.DATA, "/data/images is not there", kind="DataError")
CHAINS = plan(parse(spec(arms=ARMS, baseline="SDT", seeds=[0, 1])))
SDT, TIT = CHAINS[:2]
FIRST = StageId(SDT.id, 0)


def configs(chain: Chain) -> list[TrainConfig]:
    return [trained(stage.config) for stage in chain.stages]


def of_data() -> CheckFault:
    return CheckFault(scope=FaultScope.DATA, key=data_key(configs(SDT)[0]), failure=MISSING)


def of(config: TrainConfig) -> CheckFault:
    return CheckFault(scope=FaultScope.SUBJECT, key=subject_key(config), failure=MISSING)


def report(*faults: CheckFault, host: str = "one") -> CheckReport:
    checked = tuple({subject_key(config) for chain in CHAINS for config in configs(chain)})
    return CheckReport(host=host, node=f"n-{host}", at_ms=1, num_subjects=3, checked=checked, faults=faults)


class Other:
    """Another node, which gives the same answer to every question. If the answer is None, there is no other node."""

    def __init__(self, answer: CheckReport | None) -> None:
        self.answer = answer
        self.asked: list[Sequence[TrainConfig]] = []

    def __call__(self, first: CheckReport, accused: Sequence[TrainConfig]) -> CheckReport | None:
        self.asked.append(accused)
        return self.answer


def condemnation(folder: ExperimentFolder, other: Other, generation: int = 1) -> Condemnation:
    return Condemnation(folder, generation, lambda: CHAINS, other, clock=lambda: 0.0)


def failing(checked: Condemnation) -> list[bool]:
    """Return for SDT's stage and the two of TIT whether they are condemned."""
    return [checked.failure_of(config) is not None for chain in (SDT, TIT) for config in configs(chain)]


def test_without_faults_nothing_is_condemned_and_no_other_node_is_asked(experiment: ExperimentFolder) -> None:
    other = Other(None)
    write_report(experiment.check(1, 1), report())
    checked = condemnation(experiment, other)
    checked.look()
    assert (checked.condemns, other.asked, failing(checked)) == (False, [], [False] * 3)


def test_if_there_is_no_other_node_the_first_one_decides(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report(of(configs(TIT)[1])))
    checked = condemnation(experiment, Other(None))
    checked.look()
    assert failing(checked) == [False, False, True]
    assert checked.failure_of(configs(CHAINS[3])[1]) == MISSING, "the other seed fails alike"


def test_a_fault_of_the_data_hits_every_stage(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report(of_data()))
    checked = condemnation(experiment, Other(None))
    checked.look()
    assert failing(checked) == [True] * 3


def test_only_what_both_nodes_find_is_condemned(experiment: ExperimentFolder) -> None:
    stages = configs(TIT)
    write_report(experiment.check(1, 1), report(of(stages[0]), of(stages[1])))
    other = Other(report(of(stages[1]), host="two"))
    checked = condemnation(experiment, other)
    checked.look()
    assert failing(checked) == [False, False, True]
    assert [{subject_key(each) for each in accused} for accused in other.asked] == [set(map(subject_key, stages))]


def test_a_stage_passes_elsewhere_if_another_host_has_found_no_fault_in_it(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report(of_data()))
    checked = condemnation(experiment, Other(report(host="two")))
    checked.look()
    (config,) = configs(SDT)
    assert [checked.passes_elsewhere(config, host) for host in ("one", "two", "three")] == [True, False, True]
    unchecked = config.model_copy(update={"T": 77})
    assert not checked.passes_elsewhere(unchecked, "one")


def test_a_later_driver_reads_the_decision_and_asks_no_node(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report(of_data()))
    condemnation(experiment, Other(report(host="two"))).look()
    other = Other(report(of_data(), host="three"))
    later = condemnation(experiment, other)
    later.look()
    assert (later.condemns, other.asked) == (False, [])
    assert later.request(FIRST, configs(SDT)[0]) == {}, "the check is not repeated"


def test_each_generation_has_a_check_of_its_own(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report(of_data()))
    second = condemnation(experiment, Other(None), generation=2)
    second.look()
    assert not second.condemns
    assert second.request(FIRST, configs(SDT)[0])["check_file"] == str(experiment.check(2, 1))


def test_a_driver_that_must_stop_decides_nothing(experiment: ExperimentFolder) -> None:
    def stopped(first: CheckReport, accused: Sequence[TrainConfig]) -> CheckReport | None:
        raise StoppedAsking

    write_report(experiment.check(1, 1), report(of_data()))
    checked = Condemnation(experiment, 1, lambda: CHAINS, stopped, clock=lambda: 0.0)
    checked.look()
    assert not checked.condemns
    assert read_report(experiment.check(1, 2)) is None


def test_one_trial_checks_at_a_time_and_if_it_is_lost_the_next_trial_checks(experiment: ExperimentFolder) -> None:
    checked = condemnation(experiment, Other(None))
    config = configs(SDT)[0]
    for _ in range(MAX_TRIES):
        assert len(checked.request(FIRST, config)["check_subjects"]) == 3
        assert checked.request(StageId(TIT.id, 0), config) == {}
        checked.ended(FIRST)
    assert checked.request(FIRST, config) == {}, "it is not tried forever"


def test_a_report_is_found_at_the_end_of_the_trial_that_made_it(experiment: ExperimentFolder) -> None:
    checked = condemnation(experiment, Other(None))
    checked.look()
    checked.request(FIRST, configs(SDT)[0])
    write_report(experiment.check(1, 1), report(of_data()))
    checked.look()
    assert not checked.condemns, "it looks only once an interval"
    checked.ended(FIRST)
    assert checked.condemns


def test_a_storage_that_does_not_answer_is_asked_again(experiment: ExperimentFolder) -> None:
    first, second = experiment.check(1, 1), experiment.check(1, 2)
    first.mkdir(parents=True)  # each read of it raises an OSError
    other = Other(None)
    checked = condemnation(experiment, other)
    checked.look(at_once=True)
    first.rmdir()
    write_report(first, report(of_data()))
    second.mkdir()
    checked.look(at_once=True)
    assert (checked.condemns, other.asked) == (False, [])
    second.rmdir()
    checked.look(at_once=True)
    assert checked.condemns


def test_the_answer_of_the_other_node_is_kept_until_it_can_be_stored(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report(of_data()))
    folder = experiment.check(1, 2).parent
    moved = folder.with_name("moved")

    class Vanishing(Other):
        def __call__(self, first: CheckReport, accused: Sequence[TrainConfig]) -> CheckReport | None:
            folder.rename(moved)
            folder.write_text("not a folder")
            return super().__call__(first, accused)

    other = Vanishing(report(of_data(), host="two"))
    checked = condemnation(experiment, other)
    checked.look(at_once=True)
    assert not checked.condemns
    folder.unlink()
    moved.rename(folder)
    checked.look(at_once=True)
    assert (checked.condemns, len(other.asked)) == (True, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"host": 3}'])
def test_a_damaged_report_counts_as_none(experiment: ExperimentFolder, content: bytes) -> None:
    first = experiment.check(1, 1)
    first.parent.mkdir(parents=True)
    first.write_bytes(content)
    checked = condemnation(experiment, Other(None))
    checked.look(at_once=True)
    assert not checked.condemns


def test_the_storage_is_rarely_read_after_the_last_trial_that_could_report(experiment: ExperimentFolder) -> None:
    seconds: Iterator[int] = count()
    checked = Condemnation(experiment, 1, lambda: CHAINS, Other(None), clock=lambda: float(next(seconds)))
    for _ in range(MAX_TRIES):
        checked.request(FIRST, configs(SDT)[0])
        checked.ended(FIRST)
    write_report(experiment.check(1, 1), report(of_data()))
    looks = 0
    while not checked.condemns:
        checked.look()
        looks += 1
    assert looks == LATE_LOOK_EVERY_S, "each look takes a second of the clock, and only the last one reads the storage"


def test_the_first_report_stays(experiment: ExperimentFolder) -> None:
    write_report(experiment.check(1, 1), report())
    write_report(experiment.check(1, 1), report(of_data()))
    assert read_report(experiment.check(1, 1)) == report()
