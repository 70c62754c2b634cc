"""Tests of `benchmarks.service.answer`: its timers, the names that it times, and how it adds up."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from benchmarks.service.answer import demo, timed_names
from benchmarks.service.answer.comparing import check, store
from benchmarks.service.answer.growth import MAX_KB, growth
from benchmarks.service.answer.timed_names import POINTS, REQUEST, TIMED, AnswerPart, PartBy, TimedName, check_names
from benchmarks.service.answer.timing import TimedCall, TimedProcess, Timers, read_calls, write_hook
from service.events import DriverStarted, StageCurved
from service.results.quantity_answer import ComparedExperiment, quantity_answer, read_values
from service.spec import parse
from service.store.database import Database
from service.store.stored_results import StoredResults
from service.store.tables import CurvesRow, ExperimentRow
from tests.root import ROOT


def test_every_timed_name_and_every_class_that_decides_exists() -> None:
    check_names()


@pytest.mark.parametrize(
    ("timed", "words"),
    [
        (TimedName("service.curves", "gone"), "service.curves has no function gone"),
        (TimedName("service.curves", "Gone.method"), "service.curves has no function Gone.method"),
        (TimedName("service.gone", "name"), "there is no module service.gone"),
        (TimedName("service.curves", "packed", not_from="gone"), "service.curves has no function gone"),
        (TimedName("service.curves", "TEST_ACCURACY"), "service.curves has no function TEST_ACCURACY"),
        (TimedName("service.store.stored_curves", "StoredCurves.of"), "StoredCurves.of cannot be timed"),
        (
            TimedName("service.curves", "packed", by=PartBy.RESULT, classes={"service.events:Gone": AnswerPart.BITS}),
            "service.events has no class Gone, by which service.curves.packed is timed",
        ),
    ],
)
def test_a_name_that_cannot_be_timed_is_an_error_that_names_it(
    timed: TimedName, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_names, "TIMED", (*TIMED, timed))
    with pytest.raises(LookupError, match=words):
        check_names()


def test_the_times_of_nested_calls_are_counted_once(tmp_path: Path) -> None:
    timers = Timers(tmp_path)
    inner = timers.wrap(TimedName("m", "inner", AnswerPart.CURVES), lambda: spend(0.1))
    outer = timers.wrap(
        TimedName("m", "outer", AnswerPart.BITS), in_turn(lambda: spend(0.05), inner, lambda: time.sleep(0.1))
    )
    began, cpu = time.perf_counter(), time.thread_time()
    outer()
    wall_s, cpu_s = time.perf_counter() - began, time.thread_time() - cpu
    of = {call.name: call for call in calls_in(tmp_path)}
    assert of["m.inner"].cpu_s == pytest.approx(0.1, abs=0.02)
    assert of["m.outer"].cpu_s == pytest.approx(0.05, abs=0.02)
    assert of["m.inner"].cpu_s + of["m.outer"].cpu_s == pytest.approx(cpu_s, abs=0.02)
    assert 0.15 <= of["m.outer"].wall_s <= wall_s - of["m.inner"].wall_s


def test_a_lent_call_belongs_to_the_part_that_calls_it(tmp_path: Path) -> None:
    timers = Timers(tmp_path)
    lent = timers.wrap(TimedName("m", "lent", AnswerPart.CURVES, is_lent=True), lambda: None)
    asked = timers.wrap(TimedName("m", "request", is_lent=True), lambda: None)
    outer = timers.wrap(TimedName("m", "outer", AnswerPart.RESULTS_RUN), in_turn(lent, asked))
    for call in (lent, asked, outer):
        call()
    found = [(call.name, call.part) for call in calls_in(tmp_path)]
    assert found == [
        ("m.lent", AnswerPart.CURVES),
        ("m.request", None),
        ("m.lent", AnswerPart.RESULTS_RUN),
        ("m.request", AnswerPart.RESULTS_RUN),
        ("m.outer", AnswerPart.RESULTS_RUN),
    ]


def test_a_call_that_does_not_count_leaves_its_time_to_its_caller_and_passes_on_what_counts_within(
    tmp_path: Path,
) -> None:
    timers = Timers(tmp_path)
    inner = timers.wrap(TimedName("m", "inner", AnswerPart.CURVES), lambda: spend(0.1))
    by = {"service.events:StageCurved": AnswerPart.CURVES}
    append = timers.wrap(
        TimedName("m", "append", by=PartBy.ARGUMENT, classes=by),
        lambda file, event: in_turn(lambda: spend(0.05), inner)(),
    )
    outer = timers.wrap(TimedName("m", "outer", AnswerPart.BITS), lambda: append(None, DriverStarted(attempt=1)))
    outer()
    assert [call.name for call in calls_in(tmp_path)] == ["m.inner", "m.outer"]
    assert calls_in(tmp_path)[1].cpu_s == pytest.approx(0.05, abs=0.02)
    append(None, StageCurved(chain="c", stage=0, curves=None))
    assert [call.name for call in calls_in(tmp_path)][2:] == ["m.inner", "m.append"]


def test_results_and_pending_rows_decide_by_their_class(tmp_path: Path) -> None:
    timers = Timers(tmp_path)
    read = timers.wrap(
        TimedName("m", "read", by=PartBy.RESULT, classes={"service.events:StageCurved": AnswerPart.CURVES}),
        lambda event: event,
    )
    read(DriverStarted(attempt=1))
    read(StageCurved(chain="c", stage=0, curves=None))
    flush = timers.wrap(
        TimedName("m", "flush", by=PartBy.PENDING, classes={"service.store.tables:CurvesRow": AnswerPart.CURVES}),
        lambda session: None,
    )
    with Session() as session:
        session.add(ExperimentRow())
        flush(session)
        session.add(CurvesRow())
        flush(session)
    assert [call.name for call in calls_in(tmp_path)] == ["m.read", "m.flush"]


def test_calls_from_a_function_that_is_left_out_do_not_count(tmp_path: Path) -> None:
    timed = Timers(tmp_path).wrap(TimedName("m", "are_correct", AnswerPart.BITS, not_from="num_correct"), lambda: None)

    def num_correct() -> None:
        timed()

    num_correct()
    assert calls_in(tmp_path) == []
    timed()
    assert [call.part for call in calls_in(tmp_path)] == [AnswerPart.BITS]


def test_an_error_passes_through_a_timer_and_a_thread_has_its_own_calls(tmp_path: Path) -> None:
    def fail() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise ValueError("as without a timer")

    timers = Timers(tmp_path)
    other = timers.wrap(TimedName("m", "other", is_lent=True), lambda: None)
    failing = timers.wrap(TimedName("m", "failing", AnswerPart.VIEW), fail)
    with pytest.raises(ValueError, match="as without a timer"):
        failing()
    assert [(call.name, call.part) for call in calls_in(tmp_path)] == [
        ("m.other", None),
        ("m.failing", AnswerPart.VIEW),
    ]


def test_a_process_writes_its_calls_even_if_it_is_killed_and_loads_nothing_for_them(tmp_path: Path) -> None:
    hook, folder = tmp_path / "hook", tmp_path / "calls"
    hook.mkdir()
    folder.mkdir()
    write_hook(hook, folder)
    code = (
        "import os, sys\n"
        "assert not any(name.startswith(('service', 'pydantic', 'torch')) for name in sys.modules)\n"
        "from service.runner.shipping.saved_view import view_tags\n"
        "view_tags(0, has_validation=False)\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{hook}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    (process,) = read_calls(folder)
    assert process.command[1:] == ["-c", code]
    assert [(call.name, call.part) for call in process.calls] == [
        ("service.runner.shipping.saved_view.view_tags", AnswerPart.VIEW)
    ]


def test_a_line_that_a_killed_process_has_not_finished_is_left_out(tmp_path: Path) -> None:
    Timers(tmp_path).wrap(TimedName("m", "whole", AnswerPart.VIEW), lambda: None)()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b'{"name": "m.hal')
    assert [call.name for call in calls_in(tmp_path)] == ["m.whole"]


# -- the sums -------------------------------------------------------------------------------------------------------


def a_call(name: str, part: AnswerPart | None, cpu_s: float, wall_s: float, ended_at: float = 0.0) -> TimedCall:
    return TimedCall(name, part, ended_at, wall_s, cpu_s, process_cpu_s=50)


def a_demo() -> demo.Demo:
    """A demo of 100 s on two cores, whose last trial ended at 90 s."""
    driver = [
        a_call("describe", AnswerPart.DESCRIPTION, 0.5, 1.0, ended_at=50),
        a_call(REQUEST.key, AnswerPart.DESCRIPTION, 0.0, 1.0, ended_at=50),
        a_call(REQUEST.key, None, 0.0, 3.0, ended_at=60),
        a_call(POINTS.key, None, 0.25, 0.5, ended_at=60),
        a_call("ship", AnswerPart.RESULTS_RUN, 0.9, 2.0, ended_at=91),
        a_call("draw", AnswerPart.RESULTS_RUN, 0.1, 3.0, ended_at=95),
    ]
    return demo.Demo(
        processes=[
            TimedProcess(["python", "-m", "service.runner.driver"], driver),
            TimedProcess(["python", "default_worker.py"], [a_call("write", AnswerPart.BITS, 0.125, 0.25)]),
        ],
        duration_s=100,
        cores=2,
        last_trial_at=90,
        ended_at=96,
        mlflow_cpu_s=8,
    )


def test_the_bound_is_the_time_of_a_core_over_the_duration_and_the_cores_of_training() -> None:
    of = {bound.name: bound for bound in demo.figures(a_demo())}
    assert of["bits: time of a core in the trials"].value == 0.125
    # A quarter of the waits for MLflow belongs to the description, and so does a quarter of the server's 8 s.
    assert of["description: time of a core in the MLflow server"].value == 2
    assert of["description: time of a core"].value == 2.5
    assert of["results run: time of a core"].value == 1
    assert of["time of a core, all parts"].value == 3.625
    share = of["the same, of the duration times 2 cores of training"]
    assert (share.value, share.limit, share.holds) == (1.8125, 1.0, False)
    assert of["the same, of the duration alone"].value == 3.625
    assert of["the same, of the time of a core that the trials took"].value == 7.25


def test_the_end_is_later_by_what_the_driver_does_for_the_answer_after_the_last_trial() -> None:
    # The file that was being made when the last trial ended counts from then on: 1 s of 2 s, and 3 s.
    assert demo.later_end_s(a_demo()) == 4
    assert demo.later_end_s(replace(a_demo(), last_trial_at=96)) == 0


def test_functions_are_summed_by_name_and_part() -> None:
    calls = [a_call("f", AnswerPart.BITS, 0.5, 1), a_call("f", AnswerPart.BITS, 0.25, 1), a_call("f", None, 1, 1)]
    assert json.loads(json.dumps(demo.by_name(calls))) == [
        {"name": "f", "part": None, "calls": 1, "cpu_s": 1, "wall_s": 1},
        {"name": "f", "part": "bits", "calls": 2, "cpu_s": 0.75, "wall_s": 2},
    ]


# -- the comparison and the database --------------------------------------------------------------------------------


def test_the_compared_experiment_has_all_its_chains_and_resampled_pairs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tet.db'}")
    database.migrate()
    experiment_id = store(database, 3, 4)
    with database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        read = read_values(StoredResults(repository, experiment_id), ComparedExperiment(parse(row.spec)))
    database.dispose()
    view = quantity_answer(read)
    check(view, 3, 4)
    with pytest.raises(RuntimeError, match="the answer has 12 chains and 2 resampled pairs; 3 x 5 wanted"):
        check(view, 3, 5)


def test_the_growth_is_that_of_whole_chains() -> None:
    bounds = {bound.name: bound for bound in growth(num_epochs=30, num_seeds=6)}
    answer = bounds["a chain of 30 epochs: curves and resampled pairs"]
    # 12 metrics without the two times, and the firing rate: 11 values of 4 bytes an epoch, and a kilobyte besides.
    assert 30 * 11 * 4 / 1000 * 0.8 < answer.value < 30 * 11 * 4 / 1000 + 2
    at_the_end = bounds["a chain of 30 epochs: the whole database at the end"]
    thin = bounds["a chain of 30 epochs: the whole database once its stream is thin"]
    # An event of an epoch has all metrics as text: about a kilobyte. Only that of the last epoch stays.
    assert answer.value < thin.value < at_the_end.value - 25 * 0.8
    assert thin.limit == MAX_KB


def spend(seconds: float) -> None:
    """Use a core for a time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def in_turn(*acts: Callable[[], object]) -> Callable[[], None]:
    """Return a function that calls others, one after the other."""

    def act() -> None:
        for each in acts:
            each()

    return act


def calls_in(folder: Path) -> list[TimedCall]:
    return [call for process in read_calls(folder) for call in process.calls]
