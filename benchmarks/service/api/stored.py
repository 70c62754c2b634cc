"""A database as it is after years of use: experiments in every state, their chains, stages, events and replays.

The service's own code makes the experiments. PostgreSQL makes the chains, stages and events of all of them
from the chains of one.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, text

from service.events import utc_now
from service.plan import Chain, plan
from service.presets import catalogue
from service.spec import Experiment, parse
from service.states import ExperimentState, Wanted
from service.store.database import Database
from service.store.rows import experiment_row
from service.store.tables import ExperimentRow
from tet_core.measure.metric_names import OF_AN_EPOCH, TIMES

NUM_STAGES = 100
# Numbers of experiments that wait, run or are paused; most of the others have succeeded.
NUM_QUEUED, NUM_RUNNING, NUM_PAUSED = 1_000, 16, 20
EVENTS_EACH, VERIFIED_EACH = 50, 100


@dataclass(frozen=True)
class Stored:
    """The content of the database: ids by state, and the chains that all experiments share."""

    ids: dict[str, list[str]]
    chains: tuple[Chain, ...]

    @property
    def num_experiments(self) -> int:
        """The number of experiments."""
        return sum(map(len, self.ids.values()))


def spec(number: int = 0) -> Experiment:
    """Return a spec of two arms of two train stages over 25 seeds: 100 stages."""
    return parse(raw_spec(number))


def raw_spec(number: int = 0) -> dict[str, Any]:
    """Return the same spec as the JSON that a user posts."""
    tet = {"name": "tet", "lamb": 0.05, "phi": 1.0}
    arms = [
        {"name": name, "stages": [{"kind": "train", "T": T, "epochs": 20, "loss": loss} for T in (2, 4)]}
        for name, loss in (("SDT", {"name": "sdt"}), ("TIT", tet))
    ]
    return {
        "name": f"digits: SDT and TIT, number {number}",
        "description": "What two time steps first and four afterwards are worth, over twenty-five seeds.",
        "labels": {"project": f"p{number % 40}", "who": f"u{number % 12}"},
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small"},
        "arms": arms,
        "baseline": "SDT",
        "seeds": list(range(NUM_STAGES // 4)),
        "resources": {"cpus_per_trial": 1, "gpus_per_trial": 1},
    }


def fill(database: Database, num_experiments: int) -> Stored:
    """Store `num_experiments` experiments of 100 stages each."""
    chains = plan(spec())
    rows = _experiments(num_experiments)
    with database.engine.begin() as connection:
        # The rows are consistent by construction, so PostgreSQL need not check their references.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(insert(ExperimentRow), rows)
        _template(connection, chains)
        for statement in _MULTIPLIED:
            connection.execute(text(statement))
    tidy(database)
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(row["state"], []).append(row["id"])
    return Stored(ids, chains)


def tidy(database: Database) -> None:
    """Let PostgreSQL count its new rows, as it does by itself within minutes: its plans of queries depend on it."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _experiments(count: int) -> list[dict[str, Any]]:
    names = [column.key for column in ExperimentRow.__table__.columns]
    draw, now = random.Random(0), utc_now()
    presets, states = list(catalogue.presets()), _states(count)
    base, rows = spec(), []
    for number, state in enumerate(states):
        named = base.model_copy(update={"name": f"digits: SDT and TIT, number {number}"})
        row = experiment_row(named, num_stages=NUM_STAGES, preset=draw.choice(presets) if number % 5 == 0 else None)
        values = {column.key: column.default.arg for column in ExperimentRow.__table__.columns if _plain(column)}
        values |= {name: value for name in names if (value := getattr(row, name)) is not None}
        values |= _dates(state, now - timedelta(minutes=count - number))
        rows.append(values | {"id": f"{number:011x}{draw.getrandbits(36):09x}", "state": state})
    return [dict.fromkeys(names) | row for row in rows]


def _states(count: int) -> list[str]:
    share = count / 10_000
    num_queued, num_paused = round(NUM_QUEUED * share), round(NUM_PAUSED * share)
    waiting = [ExperimentState.QUEUED] * num_queued + [ExperimentState.PAUSED] * num_paused
    ended = count - len(waiting) - NUM_RUNNING
    succeeded, failed = round(0.85 * ended), round(0.1 * ended)
    past = [ExperimentState.SUCCEEDED] * succeeded + [ExperimentState.FAILED] * failed
    past += [ExperimentState.CANCELLED] * (ended - len(past))
    random.Random(1).shuffle(past)
    return [*map(str, past), *[str(ExperimentState.RUNNING)] * NUM_RUNNING, *map(str, waiting)]


def _dates(state: str, at: Any) -> dict[str, Any]:
    has_started = state not in (ExperimentState.QUEUED, ExperimentState.PAUSED)
    ended = has_started and state != ExperimentState.RUNNING
    done = {"succeeded": NUM_STAGES, "failed": NUM_STAGES // 2, "cancelled": 10, "running": 30}.get(state, 0)
    return {
        "created_at": at,
        "queued_at": at,
        "wanted": Wanted.PAUSE if state == ExperimentState.PAUSED else Wanted.RUN,
        "started_at": at if has_started else None,
        "finished_at": at + timedelta(hours=1) if ended else None,
        "driver_attempt": int(has_started),
        "stages_done": done,
        "mlflow_experiment_id": "7" if has_started else None,
    }


def _plain(column: Any) -> bool:
    return column.default is not None and column.default.is_scalar


def _template(connection: Connection, chains: tuple[Chain, ...]) -> None:
    """Store the chains of one experiment in a temporary table, from which PostgreSQL makes all others."""
    connection.execute(text("CREATE TEMP TABLE one (position int, id text, arm text, seed int) ON COMMIT DROP"))
    rows = [{"p": i, "i": chain.id, "a": chain.arm, "s": chain.seed} for i, chain in enumerate(chains)]
    connection.execute(text("INSERT INTO one VALUES (:p, :i, :a, :s)"), rows)


_HASH = "md5(e.id || o.id || {salt}) || md5(e.id || {salt})"
_DONE = "CASE WHEN e.state = 'succeeded' OR o.position * 2 + i < e.stages_done THEN"
_STATE = f"{_DONE} 'succeeded' WHEN e.finished_at IS NOT NULL THEN 'cancelled' ELSE 'waiting' END"
_VALUES = (
    dict.fromkeys(OF_AN_EPOCH, "random()") | dict.fromkeys(TIMES, "12.5") | {"test/accuracy": "0.9 + random() / 20"}
)
_METRICS = "json_build_object(" + ", ".join(f"'{name}', {value}" for name, value in _VALUES.items()) + ")"
_RUN = "md5(e.id || o.id || 'r')"

_MULTIPLIED = (
    f"""INSERT INTO chains (experiment_id, id, position, arm, seed, hyperparameters, state, mlflow_run_id)
    SELECT e.id, o.id, o.position, o.arm, o.seed, '{{}}', {_STATE.replace("+ i", "+ 1")}, {_RUN}
    FROM experiments e CROSS JOIN one o""",
    f"""INSERT INTO stages (experiment_id, chain_id, index, kind, "T", epochs, state, epoch, metrics, train_time_s,
        initial_sha256, weights_sha256, mlflow_run_id, attempts)
    SELECT e.id, o.id, i, 'train', 2 + 2 * i, 20, {_STATE}, {_DONE} 20 ELSE 0 END, {_DONE} {_METRICS} ELSE '{{}}' END,
        {_DONE} 250.0 ELSE 0 END, {_DONE} md5(o.seed::text) || md5('s' || o.seed) END,
        {_DONE} {_HASH.format(salt="i::text")} END, {_DONE} {_RUN} END, {_DONE} 1 ELSE 0 END
    FROM experiments e CROSS JOIN one o CROSS JOIN generate_series(0, 1) i""",
    f"""INSERT INTO events (experiment_id, at, type, data)
    SELECT e.id, e.created_at + i * interval '1 minute', 'stage',
        json_build_object('chain', o.id, 'stage', 0, 'state', 'running', 'epoch', i, 'metrics', {_METRICS})
    FROM experiments e CROSS JOIN (SELECT * FROM one WHERE position = 0) o
        CROSS JOIN generate_series(1, {EVENTS_EACH}) i""",
    """INSERT INTO event_files (experiment_id, driver_attempt, "offset")
    SELECT id, 1, 0 FROM experiments WHERE state = 'running'""",
    f"""INSERT INTO verifications (experiment_id, number, chain_id, stage, state, reason, created_at, finished_at,
        job_attempt, result)
    SELECT e.id, i, o.id, 0, 'equal', 'all numbers and bits are equal', e.finished_at, e.finished_at, 1,
        json_build_object('compared', 160)
    FROM experiments e CROSS JOIN (SELECT * FROM one WHERE position = 0) o
        CROSS JOIN generate_series(1, {VERIFIED_EACH}) i
    WHERE e.state = 'succeeded' AND right(e.id, 1) = '0'""",
)
