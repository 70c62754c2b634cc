"""Tests that a driver's job passes on every argument that the driver reads."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.control.driver_job import DRIVER_SETTINGS, driver_job
from service.runner.driver import DriverArguments, parse_arguments
from service.settings import Settings
from service.store.tables import ExperimentRow

POSTED = {
    "preset": "fig3-switch-mini",
    "created_at": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    "started_at": datetime(2026, 1, 2, 3, 5, tzinfo=UTC),
}
ROW = ExperimentRow(id="0" * 20, name="digits", driver_attempt=3, generation=2, **POSTED)
# The arguments of a driver that do not come from the settings.
OF_THE_EXPERIMENT = {"experiment": ROW.id, "attempt": 3, "generation": 2, **POSTED}


@pytest.mark.parametrize("data", [None, Path("/data sets")])
def test_a_driver_gets_every_setting_that_it_reads(data: Path | None) -> None:
    settings = Settings.model_validate({"data": data, "stop_window_s": 7.5, "tracking_patience_s": 11})
    read = asdict(parse_arguments(list(driver_job(settings, ROW).entrypoint[3:])))
    passed = {flag.strip("-").replace("-", "_"): getattr(settings, name) for name, flag in DRIVER_SETTINGS.items()}
    assert {field.name for field in fields(DriverArguments)} == OF_THE_EXPERIMENT.keys() | passed.keys()
    assert read == OF_THE_EXPERIMENT | passed
