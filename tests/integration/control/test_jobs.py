"""Tests of the Jobs API's client, with answers of Ray and of other servers."""

import socket
from pathlib import Path
from typing import Any

import pytest

from service.control.jobs import JobStatus, RayJob, RayJobs, token_from
from service.job_name import submission_id
from tests.integration.control.conftest import Desk

JOB = RayJob("tet-e-1", ("python", "-m", "it's one", "argument"), {"name": "é"}, {"A": "1"})


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("PENDING", JobStatus.PENDING),
        ("RUNNING", JobStatus.RUNNING),
        ("STOPPED", JobStatus.ENDED),
        ("SUCCEEDED", JobStatus.ENDED),
        ("FAILED", JobStatus.ENDED),
        ("A STATUS OF TOMORROW", JobStatus.UNKNOWN),
    ],
)
def test_each_status_of_ray_becomes_a_job_status(desk: Desk, said: str, status: JobStatus) -> None:
    assert desk.jobs.submit(JOB) is None
    desk.ray.end(JOB.submission_id, said, "first\n  the last line  \n\n")
    seen = desk.jobs.observe(JOB.submission_id)
    assert (seen.status, seen.message) == (status, f"{said}: the last line")


def test_a_job_is_submitted_with_its_arguments_and_environment(desk: Desk) -> None:
    desk.jobs.submit(JOB)
    job = desk.ray.jobs["tet-e-1"]
    assert job["entrypoint"] == """python -m 'it'"'"'s one' argument"""
    assert (job["metadata"], job["runtime_env"]) == ({"name": "é"}, {"env_vars": {"A": "1"}})


@pytest.mark.parametrize(
    ("reply", "session"),
    [
        ((200, {"version": "4", "session_name": "session_1"}), "session_1"),
        ((200, {"version": "4"}), None),
        ((200, ["a list"]), None),
        ((503, "the head is busy"), None),
    ],
    ids=str,
)
def test_the_session_of_ray_is_known_only_from_an_answer_of_ray(
    desk: Desk, reply: tuple[int, Any], session: str | None
) -> None:
    desk.ray.replies["/api/version"] = reply
    assert desk.jobs.session() == session


def test_a_job_that_ray_does_not_know_is_absent(desk: Desk) -> None:
    assert desk.jobs.observe("tet-e-9").status is JobStatus.ABSENT


@pytest.mark.parametrize(
    "reply",
    [
        (404, "<html>default backend - 404</html>"),  # a proxy that does not reach Ray
        (200, "<html>sign in</html>"),
        (200, ["a list"]),
        (200, {"no": "status"}),
        (401, "no token"),
        (500, "Traceback"),
    ],
    ids=str,
)
def test_an_answer_that_is_not_from_ray_means_unknown(desk: Desk, reply: tuple[int, Any]) -> None:
    desk.jobs.submit(JOB)
    desk.ray.replies["/api/jobs/tet-e-1"] = reply
    assert desk.jobs.observe("tet-e-1").status is JobStatus.UNKNOWN


def test_without_a_server_every_call_reports_the_error() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with RayJobs(f"http://127.0.0.1:{silent.getsockname()[1]}", lambda: None) as jobs:
            seen = jobs.observe("tet-e-1")
            assert (seen.status, seen.message.split(":")[0]) == (JobStatus.UNKNOWN, "ConnectError")
            assert "ConnectError" in (jobs.submit(JOB) or "")
            assert "ConnectError" in (jobs.stop("tet-e-1") or "")
            assert jobs.logs("tet-e-1") is None
            assert jobs.cluster_resources() is None


def test_cluster_resources_lists_the_living_nodes(desk: Desk) -> None:
    rows = [
        {"state": "ALIVE", "resources_total": {"CPU": 2.0, "GPU": 1.0}},
        {"state": "DEAD", "resources_total": {"CPU": 64.0}},
        {"state": "ALIVE", "resources_total": None},
    ]
    desk.ray.replies["/api/v0/nodes?detail=true"] = (200, {"data": {"result": {"result": rows}}})
    assert desk.jobs.cluster_resources() == [{"CPU": 2.0, "GPU": 1.0}, {}]
    desk.ray.replies["/api/v0/nodes?detail=true"] = (200, {"data": None})
    assert desk.jobs.cluster_resources() is None


def test_the_token_is_read_again_for_each_call(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with RayJobs(desk.ray.url, token_from({}, file)) as jobs:
        jobs.observe("x")
        file.write_text("first\n")
        jobs.observe("x")
        file.write_text("second\n")
        jobs.observe("x")
    assert desk.ray.tokens == [None, "Bearer first", "Bearer second"]
    assert token_from({"RAY_AUTH_TOKEN": "secret"}, file)() == "secret"


def test_a_submission_id_follows_from_experiment_and_attempt() -> None:
    assert submission_id("0123", 4) == "tet-0123-4"


def test_after_a_timeout_the_next_calls_do_not_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # it accepts connections and never answers
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        with RayJobs(url, lambda: None, timeout_s=0.2) as jobs:
            first, second = jobs.observe("tet-e-1"), jobs.observe("tet-e-2")
            assert (first.status, second.status) == (JobStatus.UNKNOWN, JobStatus.UNKNOWN)
            assert "ReadTimeout" in first.message
            assert "is not asked again yet" in second.message
            assert "is not asked again yet" in (jobs.stop("tet-e-1") or "")
            assert jobs.cluster_resources() is None
