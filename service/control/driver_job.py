"""The Ray job that runs an experiment: its entry point, its environment, and what the dashboard shows."""

import math
import sys

from service.control.jobs import RayJob, submission_id
from service.settings import Settings
from service.store.tables import ExperimentRow

# After its trials' window a driver has so long to stop them and close its runs; then Ray kills it.
STOP_WAIT_S = 30

ENVIRONMENT = {
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    # The driver handles signals itself, and keeps its own journal in place of Tune's loggers.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # If MLflow does not answer, the outbox asks again, and reports it meanwhile.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    # The line costs two more requests for each run that is closed.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "PYTHONUNBUFFERED": "1",
}


def driver_job(settings: Settings, row: ExperimentRow) -> RayJob:
    """Return the job of an experiment's newest driver."""
    entrypoint = [
        sys.executable,
        "-m",
        "service.runner.driver",
        "--experiment",
        row.id,
        "--attempt",
        str(row.driver_attempt),
        "--generation",
        str(row.generation),
        "--storage",
        str(settings.storage),
        "--mlflow-url",
        settings.mlflow_url,
        "--stop-window",
        str(settings.stop_window_s),
        "--tracking-patience",
        str(settings.tracking_patience_s),
    ]
    if settings.data is not None:
        entrypoint += ["--data", str(settings.data)]
    return RayJob(
        submission_id(row.id, row.driver_attempt),
        tuple(entrypoint),
        metadata={"experiment": row.id, "name": row.name, "job_name": row.name, "driver": str(row.driver_attempt)},
        environment=ENVIRONMENT | {"RAY_JOB_STOP_WAIT_TIME_S": str(math.ceil(settings.stop_window_s) + STOP_WAIT_S)},
    )
