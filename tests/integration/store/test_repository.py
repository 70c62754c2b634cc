"""Tests of the queries on every kind of database."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from service.errors import Conflict, NotFound
from service.events import StageChanged, utc_now
from service.plan import plan
from service.reasons import failed
from service.spec import parse
from service.states import ExperimentState, Wanted, WorkState
from service.store.database import Database
from service.store.tables import EventRow
from tests.unit.service.spec.test_spec import spec

SPEC = parse(spec())
CHAINS = plan(SPEC)


def create(database: Database, key: str | None = None, body: str = "body") -> str:
    with database.session() as repository:
        return repository.experiments.create(SPEC, CHAINS, idempotency_key=key, body_sha256=body).id


def progress(epoch: int) -> StageChanged:
    return StageChanged(chain="c", stage=0, state=WorkState.RUNNING, epoch=epoch)


def test_a_new_experiment_is_queued_with_all_its_chains_and_stages(database: Database) -> None:
    experiment_id = create(database)
    with database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        chains = repository.work.chains(experiment_id)
    assert (row.state, row.wanted, row.stages_total) == ("queued", "run", 12)
    assert row.created_at.tzinfo is not None
    assert [(chain.arm, chain.seed, len(chain.stages)) for chain in chains][:3] == [
        ("SDT", 0, 1),
        ("TET", 0, 1),
        ("TIT", 0, 2),
    ]
    assert {stage.state for chain in chains for stage in chain.stages} == {"waiting"}


def test_simultaneous_creations_with_one_key_give_one_experiment(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: create(database, key="k"), range(16)))
    assert len(ids) == 1
    with database.reading() as repository:
        assert len(repository.experiments.page(limit=100)) == 1


def test_one_key_with_another_body_is_a_conflict(database: Database) -> None:
    create(database, key="k")
    with pytest.raises(Conflict, match="'k' was used before with another body"):
        create(database, key="k", body="other")


def test_if_two_bodies_race_for_one_key_one_of_them_gets_it(database: Database) -> None:
    def made(body: str) -> str | None:
        try:
            return create(database, key="k", body=body)
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        bodies = ["one", "other"] * 6
        found = list(zip(bodies, pool.map(made, bodies), strict=True))
    ids = {experiment_id for _, experiment_id in found if experiment_id is not None}
    assert len(ids) == 1
    assert len({body for body, experiment_id in found if experiment_id is not None}) == 1
    with database.reading() as repository:
        assert [row.id for row in repository.experiments.page(limit=100)] == list(ids)


def test_pages_stay_the_same_while_experiments_are_added(database: Database) -> None:
    ids = [create(database) for _ in range(5)]
    with database.reading() as repository:
        first = [row.id for row in repository.experiments.page(limit=2)]
    create(database)
    with database.reading() as repository:
        rest = [row.id for row in repository.experiments.page(limit=10, after=first[-1])]
    assert first + rest == ids[::-1]


def test_chains_are_returned_in_the_order_of_their_positions(database: Database) -> None:
    experiment_id = create(database)
    with database.reading() as repository:
        chains = repository.work.chains(experiment_id, limit=4, after=2)
    assert [chain.position for chain in chains] == [3, 4, 5, 6]
    assert [[stage.index for stage in chain.stages] for chain in chains] == [[0], [0], [0, 1], [0]]
    assert all(stage.chain_id == chain.id for chain in chains for stage in chain.stages)


def test_a_list_leaves_out_long_columns(database: Database) -> None:
    create(database)
    with database.reading() as repository:
        (row,) = repository.experiments.page(limit=10)
        assert row.name == SPEC.name
        with pytest.raises(InvalidRequestError, match=r"'ExperimentRow\.spec' is not available"):
            _ = row.spec


def test_chains_that_are_past_a_stage_are_found(database: Database) -> None:
    experiment_id, chain = create(database), CHAINS[2]
    with database.session() as repository:
        stage = repository.work.stage(experiment_id, chain.id, 1)
        assert stage is not None
        stage.state = WorkState.SUCCEEDED
    with database.reading() as repository:
        assert repository.work.chains_past(experiment_id, 1) == {chain.id}
        assert repository.work.chains_past(experiment_id, 0) == set()


def test_a_state_changes_only_from_the_state_that_was_seen(database: Database) -> None:
    experiment_id = create(database)
    queued, starting = ExperimentState.QUEUED, ExperimentState.STARTING
    with database.session() as repository:
        assert repository.transitions.advance(experiment_id, queued, starting, driver_attempt=1)
    with database.session() as repository:
        assert not repository.transitions.advance(experiment_id, queued, starting, driver_attempt=2)
        assert repository.experiments.get(experiment_id).driver_attempt == 1


def test_a_state_changes_only_if_the_driver_is_still_the_one_that_was_seen(database: Database) -> None:
    experiment_id = create(database)
    queued, starting = ExperimentState.QUEUED, ExperimentState.STARTING
    with database.session() as repository:
        assert repository.transitions.advance(experiment_id, queued, starting, seen_attempt=0, driver_attempt=1)
        assert not repository.transitions.advance(
            experiment_id, starting, starting, seen_attempt=0, driver_attempt=1, reason=failed("x")
        )
        assert repository.experiments.get(experiment_id).reason == ""


def test_of_simultaneous_changes_of_state_one_succeeds(database: Database) -> None:
    experiment_id = create(database)

    def advance(_: int) -> bool:
        with database.session() as repository:
            return repository.transitions.advance(experiment_id, ExperimentState.QUEUED, ExperimentState.STARTING)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(advance, range(16))) == 1


def test_a_terminal_state_cannot_be_left(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, ExperimentState.CANCELLED)
        assert repository.experiments.get(experiment_id).finished_at is not None
    for after in ExperimentState:
        with pytest.raises(AssertionError, match="cancelled -> "), database.session() as repository:
            repository.transitions.advance(experiment_id, ExperimentState.CANCELLED, after)


def test_ending_unfinished_stages_does_not_change_ended_stages(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        done = repository.work.stage(experiment_id, CHAINS[0].id, 0)
        assert done is not None
        done.state = WorkState.SUCCEEDED
        repository.work.end_unfinished(experiment_id, WorkState.CANCELLED)
    with database.reading() as repository:
        states = [stage.state for chain in repository.work.chains(experiment_id) for stage in chain.stages]
        assert repository.work.count_done_stages(experiment_id) == 1
    assert sorted(states) == ["cancelled"] * 11 + ["succeeded"]


def test_an_event_files_offset_moves_only_from_where_it_was(database: Database) -> None:
    experiment_id = create(database)

    def move(before: int, after: int) -> bool:
        with database.session() as repository:
            return repository.event_offsets.move(experiment_id, 1, before, after)

    assert [move(0, 10), move(0, 20), move(10, 30), move(10, 40)] == [True, False, True, False]
    with database.reading() as repository:
        assert repository.event_offsets.get(experiment_id, 1) == 30


def test_an_ended_experiment_cannot_be_cancelled_and_a_second_cancellation_changes_nothing(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        repository.requests.want(experiment_id, Wanted.CANCEL)
        repository.requests.want(experiment_id, Wanted.CANCEL)
        kinds = [event.data.get("wanted") for event in repository.events.list_after(experiment_id)]
        assert kinds.count("cancel") == 1
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, ExperimentState.FAILED)
    with pytest.raises(Conflict, match="has failed and cannot be cancelled"), database.session() as repository:
        repository.requests.want(experiment_id, Wanted.CANCEL)


def test_an_ended_or_cancelled_experiment_can_neither_be_paused_nor_resumed(database: Database) -> None:
    ended, cancelled = create(database), create(database)
    with database.session() as repository:
        repository.transitions.advance(ended, ExperimentState.QUEUED, ExperimentState.FAILED)
        repository.requests.want(cancelled, Wanted.CANCEL)
    for experiment_id, why in ((ended, "has failed"), (cancelled, "is being cancelled")):
        with pytest.raises(Conflict, match=f"{why} and cannot be paused"), database.session() as repository:
            repository.requests.want(experiment_id, Wanted.PAUSE)
        with pytest.raises(Conflict, match=f"{why} and cannot be resumed"), database.session() as repository:
            repository.requests.want(experiment_id, Wanted.RUN)


def test_a_second_pause_and_resuming_a_running_experiment_change_nothing(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        for wanted in (Wanted.RUN, Wanted.PAUSE, Wanted.PAUSE, Wanted.RUN, Wanted.RUN):
            repository.requests.want(experiment_id, wanted)
        wishes = [event.data.get("wanted") for event in repository.events.list_after(experiment_id)]
    assert wishes == [None, "pause", "run"]


def test_a_cancellation_waits_for_a_simultaneous_end_and_is_then_refused(database: Database) -> None:
    experiment_id = create(database)

    on_its_way = Event()

    def cancel() -> None:
        on_its_way.set()  # SQLite blocks the start of its transaction, PostgreSQL its access to the row
        with database.session() as repository:
            repository.requests.want(experiment_id, Wanted.CANCEL)

    with ThreadPoolExecutor(1) as pool:
        with database.session() as repository:
            repository.experiments.get(experiment_id, lock=True)
            cancelling = pool.submit(cancel)
            assert on_its_way.wait(60)
            with pytest.raises(TimeoutError):
                cancelling.result(timeout=0.3)
            repository.transitions.advance(experiment_id, ExperimentState.QUEUED, ExperimentState.FAILED)
        with pytest.raises(Conflict, match="has failed and cannot be cancelled"):
            cancelling.result(timeout=30)
    with database.reading() as repository:
        assert repository.experiments.get(experiment_id).wanted == "run"
        assert [event.data["state"] for event in repository.events.list_after(experiment_id)] == ["queued", "failed"]


def test_events_are_seen_in_the_order_of_their_numbers(database: Database) -> None:
    experiment_id = create(database)

    on_its_way = Event()

    def add_event() -> None:
        on_its_way.set()
        with database.session() as repository:
            repository.experiments.get(experiment_id, lock=True)
            repository.events.add(experiment_id, progress(0))

    with ThreadPoolExecutor(1) as pool:
        with database.session() as repository:
            repository.requests.want(experiment_id, Wanted.CANCEL)
            repository.events.list_after(experiment_id)  # the event has its number now, and is not committed yet
            adding = pool.submit(add_event)
            assert on_its_way.wait(60)
            # A client that saw the later event first would never ask for the earlier one.
            with pytest.raises(TimeoutError):
                adding.result(timeout=0.3)
        adding.result(timeout=30)
    with database.reading() as repository:
        events = repository.events.list_after(experiment_id)
    assert [(event.type, event.data.get("wanted")) for event in events[1:]] == [
        ("experiment", "cancel"),
        ("stage", None),
    ]


def test_events_are_read_page_by_page(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        for number in range(5):
            repository.events.add(experiment_id, progress(number))
    with database.reading() as repository:
        first = repository.events.list_after(experiment_id, limit=3)
        rest = repository.events.list_after(experiment_id, first[-1].id)
    assert [event.data.get("epoch") for event in [*first, *rest]] == [None, 0, 1, 2, 3, 4]
    assert all(event.at.tzinfo is not None for event in rest)


def test_numbers_beyond_32_bits_fit(database: Database) -> None:
    experiment_id = create(database)
    large = 2**40
    with Session(database.engine) as session, session.begin():
        session.add(EventRow(id=large, experiment_id=experiment_id, at=utc_now(), type="stage", data={}))
    with database.session() as repository:
        assert [event.id for event in repository.events.list_after(experiment_id, large - 1)] == [large]
        assert repository.event_offsets.move(experiment_id, 1, 0, large)
        assert repository.event_offsets.get(experiment_id, 1) == large
        repository.experiments.get(experiment_id).epochs_at_start = large


def test_of_simultaneous_readers_of_an_event_file_one_moves_its_offset(database: Database) -> None:
    experiment_id = create(database)

    def move(_: int) -> bool:
        with database.session() as repository:
            return repository.event_offsets.move(experiment_id, 1, 0, 10)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(move, range(16))) == 1


def test_experiments_are_found_by_state_and_by_a_part_of_their_name(database: Database) -> None:
    parsed = parse(spec(name="100% of Fläche"))
    with database.session() as repository:
        found = repository.experiments.create(parsed, plan(parsed)).id
    other = create(database)
    with database.session() as repository:
        repository.transitions.advance(other, ExperimentState.QUEUED, ExperimentState.CANCELLED)

        def ids(**wanted: str) -> list[str]:
            return [row.id for row in repository.experiments.page(limit=10, **wanted)]

        assert ids(name="0% OF") == [found]
        assert ids(name="_") == []
        assert ids(state="cancelled") == [other]
        assert [row.id for row in repository.experiments.active()] == [found]


def test_an_error_undoes_the_whole_transaction(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.session() as repository:  # noqa: PT012
        repository.experiments.create(SPEC, CHAINS)
        _ = 1 / 0
    with database.reading() as repository:
        assert repository.experiments.page(limit=10) == []


def test_an_unknown_experiment_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="there is no experiment 'nothing'"), database.reading() as repository:
        repository.experiments.get("nothing")
