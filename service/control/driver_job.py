"""The Ray job that runs an experiment: its entry point, its environment, and what the dashboard shows."""

import math
import sys
from collections.abc import Mapping

from service.control.jobs import RayJob
from service.job_name import submission_id
from service.settings import Settings
from service.store.tables import ExperimentRow

# Seconds after the stop window in which a driver stops its trials and closes its runs; then Ray kills it.
STOP_WAIT_S = 30

ENVIRONMENT = {
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    # The driver handles signals itself, and keeps its own journal in place of Tune's loggers.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune's newer output prints, at any verbosity, a table with the number of trials, which is endless here, and a
    # summary at the end. Its older output prints nothing at verbosity 0. The driver logs its progress itself.
    "RAY_AIR_NEW_OUTPUT": "0",
    # If MLflow does not answer, the outbox tries again, and reports the problem meanwhile.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    # Printing the URL costs two more requests for each run that is closed.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "PYTHONUNBUFFERED": "1",
}

# The settings that are passed to a driver, each with its argument.
DRIVER_SETTINGS = {
    "storage": "--storage",
    "mlflow_url": "--mlflow-url",
    "stop_window_s": "--stop-window",
    "tracking_patience_s": "--tracking-patience",
    "data": "--data",
    "api_url": "--api-url",
}


def arguments_for(settings: Settings, flags: Mapping[str, str]) -> list[str]:
    """Return the arguments that pass on settings; settings without a value are left out."""
    values = {flag: getattr(settings, name) for name, flag in flags.items()}
    return [word for flag, value in values.items() if value is not None for word in (flag, str(value))]


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
        *arguments_for(settings, DRIVER_SETTINGS),
        *_posted(row),
    ]
    return RayJob(
        submission_id(row.id, row.driver_attempt),
        tuple(entrypoint),
        metadata={"experiment": row.id, "name": row.name, "job_name": row.name, "driver": str(row.driver_attempt)},
        environment=ENVIRONMENT | {"RAY_JOB_STOP_WAIT_TIME_S": str(math.ceil(settings.stop_window_s) + STOP_WAIT_S)},
    )


def _posted(row: ExperimentRow) -> list[str]:
    """Return the arguments with facts that the driver needs for its report and cannot read from files."""
    times = {"--created-at": row.created_at, "--started-at": row.started_at}
    words = {flag: at.isoformat() for flag, at in times.items() if at is not None}
    words |= {} if row.preset is None else {"--preset": row.preset}
    return [f"{flag}={word}" for flag, word in words.items()]
