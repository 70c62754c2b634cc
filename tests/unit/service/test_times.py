"""Tests of times as text: all of them are UTC, and say so."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

from service.times import exact, for_people, for_programs
from tests.root import ROOT

AT = datetime(2026, 11, 30, 21, 22, 23, 450_000, timezone(timedelta(hours=1)))


def test_a_time_has_one_form_for_programs_and_one_for_people() -> None:
    assert for_programs(AT) == for_programs(AT.timestamp()) == "2026-11-30T20:22:23Z"
    assert for_people(AT) == for_people(AT.timestamp()) == "2026-11-30 20:22:23 UTC"
    assert exact(AT) == "2026-11-30T20:22:23.450000Z"


def test_log_lines_begin_with_the_time_in_utc_wherever_the_process_runs() -> None:
    code = "import logging; from service.times import log_to; log_to(named=True); logging.getLogger('a').info('hello')"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    at, level, rest = ended.stderr.strip().split(" ", 2)
    assert (level, rest) == ("INFO", "a: hello")
    assert abs(datetime.strptime(at, "%Y-%m-%dT%H:%M:%S%z") - datetime.now(UTC)) < timedelta(minutes=5)
