"""Tests of the table of arms in MLflow's description and in the driver's log."""

import pytest

from service.failures import Failure, FailureType
from service.plan import plan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.shipping.arms_table import MAX_ROWS, ArmRow, arm_rows, as_markdown, in_lines
from service.runner.tuning.early_ends import mark_failed
from service.spec import parse
from service.storage import ExperimentFolder
from tests.unit.service.runner.conftest import ARMS
from tests.unit.service.runner.writing import write
from tests.unit.service.spec.test_spec import spec


@pytest.fixture
def ledger(experiment: ExperimentFolder) -> Ledger:
    """Return a ledger: SDT with accuracies of 0.8 and 0.9 and a failed seed, TIT with the first of its stages."""
    experiment.driver(1).mkdir(parents=True)
    chains = list(plan(parse(spec(arms=ARMS, seeds=[0, 1, 2]))))
    ids = {(chain.arm, chain.seed): chain.id for chain in chains}
    write(experiment.stage(ids["SDT", 0], 0), 3, of=3, **{"test/accuracy": 0.8})
    write(experiment.stage(ids["SDT", 1], 0), 3, of=3, **{"test/accuracy": 0.9})
    mark_failed(experiment, StageId(ids["SDT", 2], 0), 1, Failure.of(FailureType.DATA, "no data"))
    write(experiment.stage(ids["TIT", 0], 0), 2, of=2)
    events = EventFile(experiment.events(1))
    ledger = Ledger(experiment, chains, events)
    events.close()
    return ledger


def test_a_row_has_the_mean_and_deviation_of_succeeded_chains(ledger: Ledger) -> None:
    sdt, tit = arm_rows(ledger)
    assert (sdt.accuracies, sdt.num_chains, sdt.num_failed, sdt.num_stopped) == ([0.8, 0.9], 3, 1, 0)
    assert sdt.mean == pytest.approx(0.85)
    assert sdt.std == pytest.approx(0.1 / 2**0.5)
    assert (tit.accuracies, tit.mean, tit.std) == ([], None, None)


def test_the_rows_are_shown_in_the_log_and_in_mlflow(ledger: Ledger) -> None:
    rows = arm_rows(ledger)
    assert in_lines(rows) == [
        "SDT: test accuracy 85.00 % ± 7.07 (n=2 of 3), 1 failed",
        "TIT: no result (n=0 of 3)",
    ]
    assert as_markdown(rows).splitlines()[2:] == [
        "| SDT | 2 of 3 | 85.00 | 7.07 | 1 | 0 |",
        "| TIT | 0 of 3 | - | - | 0 | 0 |",
    ]


def test_names_are_shown_as_they_are_and_many_rows_are_counted() -> None:
    assert r"| a\|b\_c\<i\> |" in as_markdown([ArmRow("a|b_c<i>", [0.5], 1)])
    rows = [ArmRow(f"arm {i}") for i in range(MAX_ROWS + 5)]
    assert in_lines(rows)[-1] == as_markdown(rows).splitlines()[-1] == "… and 5 more"
