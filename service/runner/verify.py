"""The entry point of a verification's Ray job: it runs a stage again and compares the result with the journal.

The stage starts where it started before: from fresh weights, or from the last checkpoint of the stage before it. The
job reads the stage's journal and does not change it. The job writes only the result, in a folder of its own.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from torch.distributed import ProcessGroup

from service.plan import Chain, plan
from service.runner import precision
from service.runner.chains.journal import as_proposed
from service.runner.commits.reading import read_progress
from service.runner.connection import connect_to_ray
from service.runner.diagnosis import diagnose
from service.runner.on_a_node import submitted
from service.runner.trial.workers.crew import Crew
from service.runner.trial.workers.gathering import gather_workers
from service.runner.verifying.replay import Replay, segments_of
from service.spec import parse
from service.spec.blocks import Limits, Resources
from service.states import VerificationState
from service.storage import ExperimentFolder
from service.times import log_to
from tet_core.files import write_atomic

log = logging.getLogger("service.runner")


@dataclass(frozen=True)
class VerifyArguments:
    """The command line of a verification."""

    experiment: str
    number: int
    chain: str
    stage: int
    storage: Path
    data: Path | None


def main(argv: list[str] | None = None) -> int:
    """Replay a stage and write the result. Return 0, even if the replay differs."""
    arguments = parse_arguments(argv)
    log_to(logging.StreamHandler(sys.stdout))
    folder = ExperimentFolder(arguments.storage, arguments.experiment)
    # Read the spec before mkdir. This fails if the experiment was deleted: a late job does not make its folder again.
    spec = precision.with_auto_decided(folder, parse(json.loads(folder.spec.read_bytes())))
    target = folder.verification(arguments.number)
    target.mkdir(parents=True, exist_ok=True)
    chain = next(chain for chain in plan(spec) if chain.id == arguments.chain)
    chain = as_proposed(spec, chain, folder.search)
    result = _on_a_node(spec.resources, folder, chain, arguments)
    write_atomic(target / "result.json", json.dumps(result, ensure_ascii=False, indent=1).encode())
    log.info("verification %d: %s %s", arguments.number, result["state"], result["reason"])
    return 0


def _on_a_node(
    resources: Resources, folder: ExperimentFolder, chain: Chain, arguments: VerifyArguments
) -> dict[str, Any]:
    """Replay a stage on a node for trials, with the resources of a trial.

    The replay has as many workers as the training had, because the number in the spec may have changed since then.
    """
    connect_to_ray()
    segments = segments_of(read_progress(folder.stage(chain.id, arguments.stage)))
    num_workers = max((segment.num_workers for segment in segments), default=1)
    replay_arguments = (folder, chain, arguments.stage, arguments.data, resources.demand())
    result: dict[str, Any] = ray.get(submitted(replayed, resources, *replay_arguments, num_workers=num_workers))
    ray.shutdown()
    return result


def replayed(
    folder: ExperimentFolder, chain: Chain, stage: int, data_root: Path | None, demand: dict[str, float]
) -> dict[str, Any]:
    """Replay a stage in this process and in the processes of its other workers; return the result, or the failure."""
    config = chain.stages[stage].config.model_dump(mode="json")
    root = None if data_root is None else str(data_root)

    @contextmanager
    def gather(num: int) -> Iterator[ProcessGroup | None]:
        crew = Crew(f"verification of {chain.id} stage {stage}", num, demand, config, root, Limits().stall_s)
        with gather_workers(crew, log.info) as workers:
            yield workers.group
            workers.end_others()  # a segment may end before the stage does

    try:
        return Replay(folder, chain, stage, data_root, gather).run()
    except Exception as error:
        failure = diagnose(error)
        return {
            "state": VerificationState.FAILED.value,
            "reason": f"{failure.type}: {failure.message}",
            "failure": failure.as_json(),
        }


def parse_arguments(argv: list[str] | None) -> VerifyArguments:
    """Read the command line `argv`. If `argv` is None, read the command line of this process."""
    parser = argparse.ArgumentParser(prog="python -m service.runner.verify", description=__doc__)
    parser.add_argument("--experiment", required=True, help="the experiment's id")
    parser.add_argument("--number", required=True, type=int, help="number of the verification, from 1")
    parser.add_argument("--chain", required=True, help="the chain's id")
    parser.add_argument("--stage", required=True, type=int, help="index of the stage, from 0")
    parser.add_argument("--storage", required=True, type=Path, help="root of the shared storage")
    parser.add_argument("--data", type=Path, default=None, help="folder of the data sets (TET_DATA)")
    return VerifyArguments(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
