"""Tests of the bootstrap over seeds and test samples, from the bits on storage to the API's answer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import pytest

from service.control.filler import RETRY_S
from service.control.ingest import ingest
from service.control.resampling_filler import ResamplingFiller
from service.events import EVENT, AnyEvent, PairResampled
from service.plan import plan
from service.results.answering import answer_of
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.chains.outcomes_so_far import outcomes_so_far
from service.runner.chains.resampler import Resampler
from service.spec import Experiment, parse
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder, StageFolder
from tests.integration.api.conftest import Api
from tests.integration.api.test_comparing import asked
from tests.integration.api.test_reading import bring
from tests.unit.service.runner.writing import begin, write, write_tested
from tests.unit.service.spec.test_spec import tet, train

E = ExperimentState
Bits = tuple[int, ...]
# At seed 0 TET classifies both samples correctly and SDT one; at seed 1 they agree. TET minus SDT is
# x = [[1, 0], [0, 0]], so the rows have the means 0.5 and 0, and so have the columns. What is left is ±0.25: its sum of
# squares, 0.25, has one degree of freedom, so var(e) / N is 0.125. So is the variance of 0.5 and 0.
BITS: dict[str, list[Bits]] = {"SDT": [(0, 1), (1, 0)], "TET": [(1, 1), (1, 0)]}
BY_HAND = {
    "num_samples": 2,
    "other_samples": {"low": 0.0, "high": 0.5},  # two draws of 0.5 and 0: their means are 0, 0.25 and 0.5
    "other_seeds_and_samples": {"low": None, "high": None},  # two seeds are too few
    "std_of_test_set": pytest.approx(sqrt(0.125)),
    "share_of_test_set": 1.0,
}
ARMS = [{"name": "SDT", "stages": [train(epochs=1)]}, {"name": "TET", "stages": [train(epochs=1, loss=tet())]}]


@dataclass
class Run:
    """An experiment with files on storage; its drivers are played."""

    api: Api
    id: str
    spec: Experiment
    driver: int = 0
    files: list[EventFile] = field(default_factory=list)
    resampler: Resampler = field(init=False)
    ledger: Ledger = field(init=False)

    @property
    def folder(self) -> ExperimentFolder:
        return ExperimentFolder(self.api.settings.storage, self.id)

    def stage(self, arm: str, seed: int) -> StageFolder:
        (chain,) = (chain for chain in plan(self.spec) if (chain.arm, chain.seed) == (arm, seed))
        return self.folder.stage(chain.id, 0)

    def train(self, bits: Mapping[str, list[Bits]] = BITS) -> None:
        for arm, by_seed in bits.items():
            for seed, each in enumerate(by_seed):
                write_tested(self.stage(arm, seed), *each)

    def start_driver(self) -> None:
        """Start the next driver; it announces what it finds."""
        self.driver += 1
        self.folder.driver(self.driver).mkdir(parents=True)
        self.files.append(events := EventFile(self.folder.events(self.driver)))
        self.ledger = Ledger(self.folder, plan(self.spec), events)
        self.resampler = Resampler(self.spec, self.ledger, self.folder, events)
        self.ledger.announce_all()

    def close(self) -> None:
        for file in self.files:
            file.close()

    def events(self, driver: int) -> list[AnyEvent]:
        return [EVENT.validate_json(line) for line in self.folder.events(driver).read_bytes().splitlines()]

    def resampled_events(self, driver: int) -> list[PairResampled]:
        return [event for event in self.events(driver) if isinstance(event, PairResampled)]

    def ingest(self) -> None:
        ingest(self.api.database, self.folder)

    def end(self, state: E = E.SUCCEEDED) -> None:
        with self.api.changing() as repository:
            bring(repository, self.id, E.STARTING, E.RUNNING, state)

    def answer(self, **params: str) -> dict[str, Any]:
        return asked(self.api, self.id, **params)

    def resampled(self, **params: str) -> Any:
        """Return what the API says about TET minus SDT."""
        return self.answer(**params)["arms"][1]["versus_baseline"]["resampled"]

    def notes(self) -> list[str]:
        return [note for note in self.answer()["notes"] if "other test samples" in note]


def never() -> bool:
    return False


@pytest.fixture
def posted(api: Api, spec: dict[str, Any]) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def post(**changes: Any) -> Run:
        document = spec | {"arms": ARMS, "seeds": [0, 1]} | changes
        runs.append(Run(api, api.post(document).json()["id"], parse(document)))
        return runs[-1]

    yield post
    for each in runs:
        each.close()


@pytest.fixture
def run(posted: Callable[..., Run]) -> Run:
    return posted()


def test_the_bits_of_the_test_samples_become_intervals_in_the_answer(run: Run) -> None:
    run.train()
    run.start_driver()
    run.ingest()
    before = run.answer()
    assert before["arms"][1]["versus_baseline"]["resampled"] is None
    assert run.notes() == []
    run.resampler.look()
    run.ingest()
    after = run.answer()
    assert after["arms"][1]["versus_baseline"].pop("resampled") == BY_HAND
    before["arms"][1]["versus_baseline"].pop("resampled")
    assert after == before, "nothing else of the answer changes"
    assert run.resampled(quantity="train_time_s") is None
    for_mlflow = answer_of(run.spec, outcomes_so_far(run.ledger), run.resampler.known)
    assert for_mlflow.arms[1].versus_baseline is not None
    assert for_mlflow.arms[1].versus_baseline.model_dump()["resampled"] == BY_HAND
    stream = {event.type for event in _stream(run)}
    assert "stage" in stream
    assert "resampled" not in stream


def _stream(run: Run) -> Any:
    with run.api.database.reading() as repository:
        return repository.events.list_after(run.id)


def test_a_pair_is_resampled_when_all_chains_of_both_arms_have_ended_and_once(run: Run) -> None:
    run.train({"SDT": BITS["SDT"], "TET": BITS["TET"][:1]})
    run.start_driver()
    run.resampler.look()
    assert run.resampled_events(1) == []
    write_tested(run.stage("TET", 1), *BITS["TET"][1])
    for stage in run.ledger.stages():
        run.ledger.refresh(stage)
    for _ in range(2):
        run.resampler.look()
    run.resampler.finish(never)
    (event,) = run.resampled_events(1)
    assert (event.arm, event.to, event.seeds, event.error) == ("TET", "SDT", [0, 1], "")


def test_at_the_end_a_pair_is_resampled_over_the_seeds_that_it_has(run: Run) -> None:
    run.train({"SDT": BITS["SDT"], "TET": BITS["TET"][:1]})
    run.start_driver()
    run.resampler.finish(lambda: True)
    assert run.resampled_events(1) == [], "a driver that must end now leaves it to the control"
    run.resampler.finish(never)
    (event,) = run.resampled_events(1)
    assert event.seeds == [0]
    run.ingest()
    assert run.resampled() == BY_HAND | {"std_of_test_set": None, "share_of_test_set": None} | {
        "other_samples": {"low": 0.0, "high": 1.0}
    }


def test_a_result_over_other_seeds_is_not_shown(run: Run) -> None:
    run.train({"SDT": BITS["SDT"], "TET": BITS["TET"][:1]})
    run.start_driver()
    run.resampler.finish(never)
    write_tested(run.stage("TET", 1), *BITS["TET"][1])
    run.start_driver()
    run.ingest()
    assert run.answer()["arms"][1]["versus_baseline"]["n"] == 2
    assert run.resampled() is None
    run.resampler.look()
    run.ingest()
    assert run.resampled() == BY_HAND


def test_a_driver_that_takes_over_neither_loses_nor_doubles_a_result(run: Run) -> None:
    run.train()
    run.start_driver()
    run.resampler.look()
    file = run.folder.events(1)
    file.write_bytes(file.read_bytes()[:-20])  # killed while it wrote the line
    run.ingest()
    assert run.resampled() is None
    run.start_driver()
    run.resampler.finish(never)
    run.ingest()
    assert run.resampled() == BY_HAND
    run.start_driver()  # killed after its last line: the next one states it again
    run.resampler.finish(never)
    run.ingest()
    second, third = (run.resampled_events(driver) for driver in (2, 3))
    assert [each.data() for each in second] == [each.data() for each in third]
    with run.api.database.reading() as repository:
        assert len(repository.resampled.of(run.id)) == 1
    assert run.resampled() == BY_HAND


def without_bits(run: Run) -> None:
    write(run.stage("TET", 1), 1, of=1, **{"test/accuracy": 0.5})


def of_other_data(run: Run) -> None:
    write_tested(run.stage("TET", 1), 1, 0, digest="other")


def of_three_samples(run: Run) -> None:
    write_tested(run.stage("TET", 1), 1, 0, 0)


def of_another_network(run: Run) -> None:
    attempt = begin(run.stage("TET", 1))
    bits = attempt.write_sample_bits(1, np.array([1, 1], np.bool_))
    metrics = {"test/accuracy": 0.5, "epoch_time_s": 1.0}
    attempt.commit(epoch=1, epochs=1, at_ms=1, metrics=metrics, weights_sha256="01", sample_bits=bits)
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=2)


def gone(run: Run) -> None:
    write_tested(run.stage("TET", 1), 1, 0)
    (run.stage("TET", 1).attempt(1) / "sample-bits-000001.json").unlink()


@pytest.mark.parametrize(
    ("write_last", "why"),
    [
        (without_bits, "TET at seed 1 has no bits of its test samples: an earlier version trained it"),
        (of_other_data, "TET at seed 0 and TET at seed 1 were tested on different data"),
        (of_three_samples, "the arms have bits of [2, 3] test samples; they must have the same test set"),
        (of_another_network, "the bits of the test samples do not give the committed accuracies"),
        (gone, "a file is gone: "),
    ],
)
def test_bits_that_are_missing_or_do_not_fit_leave_a_note(
    run: Run, write_last: Callable[[Run], None], why: str
) -> None:
    run.train({"SDT": BITS["SDT"], "TET": BITS["TET"][:1]})
    write_last(run)
    run.start_driver()
    run.resampler.look()
    run.ingest()
    assert run.resampled() is None
    (note,) = run.notes()
    assert note.startswith(f"no interval over other test samples for TET minus SDT: {why}")
    assert run.answer()["arms"][1]["versus_baseline"]["n"] == 2


def test_an_experiment_that_ended_under_an_earlier_version_is_filled_in_once(run: Run) -> None:
    run.train()
    run.start_driver()
    run.ingest()
    run.end()
    assert run.notes() == ["the intervals over other test samples are being computed from storage; ask again"]
    now = 100.0
    filler = ResamplingFiller(run.api.database, run.api.settings, lambda: now)
    away = run.api.settings.storage.rename(run.api.settings.storage.with_name("away"))
    filler.round()
    assert len(run.notes()) == 1, "the storage is not there: it is asked again later"
    away.rename(run.api.settings.storage)
    now += RETRY_S
    filler.round()
    assert (run.resampled(), run.notes()) == (BY_HAND, [])
    with run.api.database.reading() as repository:
        assert repository.resampled.to_fill(10) == []


def test_what_a_driver_could_not_read_is_read_again_when_the_experiment_has_ended(run: Run) -> None:
    run.train()
    file = run.stage("TET", 1).attempt(1) / "sample-bits-000001.json"
    hidden = file.rename(file.with_suffix(".hidden"))
    run.start_driver()
    run.resampler.finish(never)
    run.ingest()
    run.end(E.FAILED)
    hidden.rename(file)
    assert len(run.notes()) == 1
    ResamplingFiller(run.api.database, run.api.settings).round()
    assert (run.resampled(), run.notes()) == (BY_HAND, [])


def test_of_growing_seeds_those_that_count_are_resampled(posted: Callable[..., Run]) -> None:
    until = {"first": 0, "at_most": 8, "until": "decided"}
    run = posted(seeds=until)
    # TET is better by 0.8 of the samples at the first seeds, which decides the pair; a later seed is not counted.
    better: Bits = (1, 1, 1, 1, 1)
    worse: Bits = (1, 0, 0, 0, 0)
    run.train({"SDT": [worse] * 7, "TET": [better] * 6 + [worse]})
    run.start_driver()
    run.resampler.finish(never)
    run.ingest()
    versus = run.answer()["arms"][1]["versus_baseline"]
    assert 2 <= versus["n"] < 7
    assert versus["decided_at"] == versus["n"] - 1
    (event,) = run.resampled_events(1)
    assert event.seeds == [*range(versus["n"])]
    assert versus["resampled"]["num_samples"] == 5
    assert versus["resampled"]["share_of_test_set"] is None, "all differences are equal"


def test_a_late_line_of_an_older_driver_does_no_harm(run: Run) -> None:
    run.train()
    run.start_driver()
    run.resampler.look()
    run.ingest()
    file = EventFile(run.folder.events(1))
    file.append(PairResampled(arm="TET", to="SDT", seeds=[0], result=None, error="of one seed"))
    file.append(PairResampled(arm="TET", to="SDT", seeds=[0, 1], result=None, error="not read"))
    file.close()
    run.ingest()
    assert run.resampled() == BY_HAND


def test_further_pairs_are_resampled_too(posted: Callable[..., Run]) -> None:
    third = {"name": "TIT", "stages": ARMS[1]["stages"]}
    pairs = [{"arm": "TET", "to": "SDT"}, {"arm": "TET", "to": "TIT"}]
    run = posted(arms=[*ARMS, third], compare=pairs)
    run.train({**BITS, "TIT": BITS["SDT"]})
    run.start_driver()
    run.resampler.finish(never)
    run.ingest()
    body = run.answer()
    assert body["arms"][1]["versus_baseline"]["resampled"] == BY_HAND
    assert body["further_pairs"][0]["versus"]["resampled"] == BY_HAND
    assert run.answer(baseline="TIT")["arms"][0]["versus_baseline"]["resampled"] is None, "no pair of the spec"
