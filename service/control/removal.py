"""Removal of an experiment's checkpoints, or of the whole experiment. Every step may be repeated after a kill."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx

from service.settings import Settings
from service.states import Cleanup
from service.storage import MODEL, ExperimentFolder, StageFolder, numbered

MLFLOW_TIMEOUT_S = 30.0
CHECKPOINTS = ("epoch-*.pt", MODEL)


def remove_checkpoints(folder: ExperimentFolder, what: Cleanup) -> None:
    """Remove an ended experiment's checkpoints: all of them, or all except what a stage needs as a result.

    With `Cleanup.BEST`, each stage keeps its last checkpoint and its trained network.
    """
    for stage in _stages(folder):
        kept = _last_checkpoint(stage) if what is Cleanup.BEST else None
        for number in stage.attempt_numbers():
            patterns = CHECKPOINTS if what is Cleanup.CHECKPOINTS else CHECKPOINTS[:1]
            for file in (file for pattern in patterns for file in stage.attempt(number).glob(pattern)):
                if file != kept:
                    file.unlink(missing_ok=True)


def remove_folder(folder: ExperimentFolder) -> None:
    """Remove an experiment's folder. Move it away first, so that no reader sees a part of it."""
    trash = folder.storage / "trash" / folder.experiment_id
    if folder.path.exists():
        trash.parent.mkdir(parents=True, exist_ok=True)
        if trash.exists():  # a superseded driver created the folder again after an earlier removal had started
            shutil.rmtree(trash)
        folder.path.rename(trash)
    if trash.exists():
        shutil.rmtree(trash)


def remove_from_mlflow(settings: Settings, mlflow_experiment_id: str | None) -> str | None:
    """Move the MLflow experiment into MLflow's trash; return the error, or None."""
    if mlflow_experiment_id is None:
        return None
    url = f"{settings.mlflow_url}/api/2.0/mlflow/experiments/delete"
    try:
        with httpx.Client(timeout=MLFLOW_TIMEOUT_S, trust_env=False) as client:
            answer = client.post(url, json={"experiment_id": mlflow_experiment_id})
    except httpx.HTTPError as error:
        return f"MLflow does not answer: {type(error).__name__}: {error}"
    gone = answer.status_code == httpx.codes.NOT_FOUND
    return None if answer.is_success or gone else f"MLflow answered {answer.status_code}: {answer.text[:200]}"


def _stages(folder: ExperimentFolder) -> Iterator[StageFolder]:
    chains = folder.path / "chains"
    for chain in sorted(chains.iterdir()) if chains.exists() else []:
        for index in numbered(chain):
            yield folder.stage(chain.name, index)


def _last_checkpoint(stage: StageFolder) -> Path | None:
    """Return the file that the newest commit names."""
    commits = sorted(stage.commits.glob("*.json"))
    return stage.path / str(json.loads(commits[-1].read_bytes())["checkpoint"]) if commits else None
