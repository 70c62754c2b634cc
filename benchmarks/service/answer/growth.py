"""The growth of the database by chains of 300 epochs, whose events the control process's own code reads.

The commits of the chains lie in a folder, as trials leave them. The driver's own code makes the event file from them,
with an event for each epoch. The file is read into two databases: with the curves and the resampled pairs, and without.
Later, the control process removes the events of single epochs.
"""

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.bounds import Bound
from benchmarks.service.answer.comparing import drawn_bits
from benchmarks.service.planning import sized
from service.control.ingest import ingest
from service.control.stream_thinner import KEPT_FOR, StreamThinner
from service.events import EVENT, DriverStarted, Outcome, PairResampled, StageCurved, utc_now
from service.plan import Chain, plan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.chains.resampler import Resampler
from service.runner.commits.records import AttemptStart, Commit, Done, Layer
from service.sample_bits import Bits, SampleBits
from service.spec import Experiment, parse
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder, StageFolder
from service.store.database import Database
from tet_core.measure.metric_names import OF_A_SPLIT, OF_AN_EPOCH

# The largest growth of a chain, in kB.
MAX_KB = 20.0
NUM_EPOCHS, NUM_ARMS, NUM_SEEDS, NUM_LAYERS = 300, 2, 20, 20
# The events that only the curves and the resampled pairs have brought.
OF_THE_ANSWER = (StageCurved, PairResampled)
_METRICS = (*OF_AN_EPOCH, *(f"val/{name}" for name in OF_A_SPLIT))


def growth(num_epochs: int = NUM_EPOCHS, num_seeds: int = NUM_SEEDS) -> list[Bound]:
    """Return the growth of the database for each chain."""
    raw = sized(NUM_ARMS, 1, num_seeds)
    for arm in raw["arms"]:
        arm["stages"] = [{**arm["stages"][0], "epochs": num_epochs}]
    spec = parse(raw | {"validation": 0.1})
    with tempfile.TemporaryDirectory(prefix="tb") as path:
        lines = driver_lines(spec, ExperimentFolder(Path(path), "0"))
        rest = [line for line in lines if not isinstance(EVENT.validate_json(line), OF_THE_ANSWER)]
        whole, thinned = _grown_bytes(Path(path) / "whole", spec, lines)
        without, _ = _grown_bytes(Path(path) / "without", spec, rest)
    num_chains = NUM_ARMS * num_seeds
    name = f"a chain of {num_epochs} epochs"
    return [
        Bound(f"{name}: curves and resampled pairs", (whole - without) / num_chains / 1000, "kB"),
        Bound(f"{name}: the whole database at the end", whole / num_chains / 1000, "kB"),
        Bound(f"{name}: the whole database once its stream is thin", thinned / num_chains / 1000, "kB", MAX_KB),
    ]


def driver_lines(spec: Experiment, folder: ExperimentFolder) -> list[bytes]:
    """Write the commits of all chains, and return the lines of the event file that a driver makes of them."""
    chains = plan(spec)
    arms = [arm.name for arm in spec.arms]
    bits = drawn_bits(len(arms), len(spec.all_seeds))
    for chain in chains:
        _write_stage(folder.stage(chain.id, 0), chain, bits[arms.index(chain.arm)][chain.seed])
    folder.driver(1).mkdir(parents=True)
    events = EventFile(folder.events(1))
    events.append(DriverStarted(attempt=1))
    ledger = Ledger(folder, chains, events)
    for chain in ledger.chains.values():
        _announce_epochs(ledger, chain, events)
    ledger.announce_all()
    resampler = Resampler(spec, ledger, folder, events)
    resampler.finish(lambda: False)
    if len([pair for pair in resampler.known if pair.result is not None]) != len(spec.pairs):
        raise RuntimeError(f"not all pairs were resampled: {[pair.error for pair in resampler.known]}")
    events.append(Outcome(state=ExperimentState.SUCCEEDED))
    events.close()
    return folder.events(1).read_bytes().splitlines(keepends=True)


def _announce_epochs(ledger: Ledger, chain: Chain, events: EventFile) -> None:
    """Announce each epoch, as a driver does when a trial has committed it."""
    stage = StageId(chain.id, 0)
    ended = ledger.stage_event(stage, WorkState.RUNNING)
    for commit in ledger.progress(stage).commits:
        change = {"state": WorkState.RUNNING, "epoch": commit.epoch, "metrics": commit.metrics}
        events.append(ended.model_copy(update=change))


def _write_stage(folder: StageFolder, chain: Chain, is_correct: Bits) -> None:
    """Write what a trial leaves, without its checkpoints."""
    num_epochs = chain.stages[0].epochs
    draw = np.random.default_rng([chain.seed, *chain.arm.encode()])
    folder.commits.mkdir(parents=True)
    folder.attempt(1).mkdir(parents=True)
    started = AttemptStart(
        attempt=1,
        at_ms=0,
        host="bench",
        resumed_epoch=0,
        initial_sha256=f"{chain.seed:064x}",
        environment={"torch": "2", "device": "cpu", "threads": 1},
        dataset={"name": "digits", "digest": "0" * 64, "num_test": len(is_correct), "num_classes": 10}
        | {"num_test_majority": len(is_correct) // 10},
        num_parameters=1_000_000,
    )
    (folder.attempt(1) / "started.json").write_text(started.model_dump_json())
    bits = folder.attempt(1) / f"sample-bits-{num_epochs:06d}.json"
    bits.write_text(SampleBits.of(is_correct).model_dump_json())
    for epoch in range(1, num_epochs + 1):
        is_last = epoch == num_epochs
        metrics = dict(zip(_METRICS, draw.random(len(_METRICS)).tolist(), strict=True))
        commit = Commit(
            epoch=epoch,
            epochs=num_epochs,
            attempt=1,
            at_ms=epoch,
            metrics=metrics | ({"test/accuracy": float(is_correct.mean())} if is_last else {}),
            checkpoint=f"attempts/0001/epoch-{epoch:06d}.pt",
            weights_sha256=draw.bytes(32).hex(),
            layers={f"layers/{number}": Layer(firing_rate=draw.random(), gradient=1.0) for number in range(NUM_LAYERS)},
            sample_bits=str(bits.relative_to(folder.path)) if is_last else None,
        )
        folder.commit(epoch).write_text(commit.model_dump_json())
    done = Done(state=WorkState.SUCCEEDED, attempt=1, at_ms=num_epochs)
    folder.done().write_text(done.model_dump_json())


def _grown_bytes(home: Path, spec: Experiment, lines: Sequence[bytes]) -> tuple[int, int]:
    """Return by how many bytes a new database grows by an experiment and its events: at once, and once it is thin."""
    home.mkdir()
    file = home / "tet.db"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    before = _bytes(file)
    with database.session() as repository:
        experiment_id = repository.experiments.create(spec, plan(spec)).id
        for old, new in pairwise((ExperimentState.QUEUED, ExperimentState.STARTING, ExperimentState.RUNNING)):
            repository.transitions.advance(experiment_id, old, new)
    folder = ExperimentFolder(home, experiment_id)
    folder.driver(1).mkdir(parents=True)
    folder.events(1).write_bytes(b"".join(lines))
    ingest(database, folder)
    with database.reading() as repository:
        state, done = repository.experiments.get(experiment_id).state, repository.work.count_done_stages(experiment_id)
    grown = _bytes(file) - before
    with database.session() as repository:
        repository.curves.filled(experiment_id, 1)
    later = utc_now() + 2 * KEPT_FOR
    StreamThinner(database, lambda: later).round()
    database.dispose()
    with closing(sqlite3.connect(file)) as connection:  # SQLite keeps the space for later rows
        connection.execute("VACUUM")
    thinned = _bytes(file) - before
    if (state, done) != (ExperimentState.SUCCEEDED, len(plan(spec))):
        raise RuntimeError(f"the experiment is {state} with {done} ended stages")
    return grown, thinned


def _bytes(file: Path) -> int:
    """Return the size of a database's file with all that is in its write-ahead log."""
    with closing(sqlite3.connect(file)) as connection:
        is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not is_busy, "nothing else uses the database"
    return file.stat().st_size
