"""Tests of the processes that check documents: their results, their limits, and their end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import anyio
import psutil
import pytest

from service.api.checking import meaning
from service.api.checking.checkers import Checkers
from service.errors import DocumentInvalid, NotFound, Overloaded, SpecInvalid, TooCostly
from service.presets import catalogue

pytestmark = pytest.mark.anyio

SPEC = b"""
name: checked
dataset: {name: digits}
model: {name: vgg_small}
arms: [{name: SDT, stages: [{kind: train, T: 2, epochs: 1, loss: {name: sdt}}]}]
seeds: [0, 1]
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def checkers() -> Iterator[Checkers]:
    checkers = Checkers(1, job_s=20)
    yield checkers
    checkers.close()


def children() -> set[int]:
    """Return this process's children that check documents."""
    found = psutil.Process().children()
    return {process.pid for process in found if "service.api.checking" in " ".join(process.cmdline())}


async def test_a_spec_comes_back_as_if_it_had_been_read_here(checkers: Checkers) -> None:
    spec = await checkers.run(meaning.read_spec, SPEC, "application/yaml", None)
    assert spec == meaning.read_spec(SPEC, "application/yaml", None)
    assert spec.model_dump(exclude_unset=True) == meaning.read_spec(SPEC, "application/yaml", None).model_dump(
        exclude_unset=True
    )


# Does every job in a process with the imports of the process of jobs, and prints what was imported further.
EVERY_JOB = """
import sys
from service.api.checking.__main__ import JOBS
before = set(sys.modules)
read_document, read_spec, resolved_spec, planned, infeasible = JOBS
body = sys.stdin.buffer.read()
read_document(body, "application/yaml")
spec = read_spec(body, "application/yaml", None)
resolved_spec(spec)
planned(spec)
assert infeasible(spec) == []
print(sorted(name for name in set(sys.modules) - before if name.startswith(("service", "tet_core", "pydantic"))))
"""


def test_no_job_imports_what_its_process_could_have_imported_before() -> None:
    run = subprocess.run([sys.executable, "-c", EVERY_JOB], input=SPEC, capture_output=True, check=True)
    assert run.stdout == b"[]\n"


async def test_changes_to_a_preset_come_back_merged(checkers: Checkers) -> None:
    preset = next(iter(catalogue.presets().values()))
    changed = await checkers.run(meaning.read_spec, b"seeds: [7]", "application/yaml", preset)
    unchanged = await checkers.run(meaning.read_spec, b" ", "", preset)
    assert (changed.seeds, changed.arms) == ((7,), unchanged.arms)


async def test_every_fault_comes_back_with_its_field(checkers: Checkers) -> None:
    with pytest.raises(SpecInvalid, match="seeds") as caught:
        await checkers.run(meaning.read_spec, SPEC.replace(b"[0, 1]", b"[-1, x]"), "application/yaml", None)
    with pytest.raises(SpecInvalid, match="seeds") as here:
        meaning.read_spec(SPEC.replace(b"[0, 1]", b"[-1, x]"), "application/yaml", None)
    assert (caught.value.errors, caught.value.total) == (here.value.errors, here.value.total)
    with pytest.raises(DocumentInvalid, match="line 1") as malformed:
        await checkers.run(meaning.read_spec, b"[", "application/yaml", None)
    assert (malformed.value.line, malformed.value.column) == (1, 2)
    with pytest.raises(NotFound, match="no preset 'x'"):
        await checkers.run(catalogue.preset, "x")


async def test_a_job_that_takes_too_much_memory_ends_and_the_next_one_runs(checkers: Checkers) -> None:
    await checkers.run(os.getpid)
    before = children()
    with pytest.raises(TooCostly, match="more memory than the service allows; make it shorter"):
        await checkers.run(bytes, 2**30)
    with pytest.raises(TooCostly, match="more memory"):
        await checkers.run(signal.raise_signal, signal.SIGKILL)  # as the kernel does when it has no memory
    assert await checkers.run(len, b"abc") == 3
    assert children() == before


async def test_an_error_of_the_code_is_raised_with_its_name(checkers: Checkers) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        await checkers.run(divmod, 1, 0)


async def test_a_job_that_takes_too_long_is_ended() -> None:
    hasty = Checkers(1, job_s=0.2)
    try:
        with pytest.raises(TooCostly, match="takes longer than the service allows"):
            await hasty.run(time.sleep, 60)
        assert await hasty.run(len, b"ab") == 2
    finally:
        hasty.close()


async def test_no_process_starts_before_it_is_needed_and_closing_ends_a_running_job_at_once() -> None:
    before = children()
    checkers = Checkers(1, job_s=60)
    assert children() == before
    await checkers.run(len, b"")
    (own,) = map(psutil.Process, children() - before)
    refused: list[str] = []

    def work() -> None:
        with pytest.raises(Overloaded, match=r"was lost|service ends") as caught:
            anyio.run(checkers.run, time.sleep, 60)
        refused.append(str(caught.value))

    thread = threading.Thread(target=work)
    thread.start()
    while not (jobs := own.children()):
        time.sleep(0.01)
    checkers.close()
    thread.join(10)
    assert refused
    psutil.wait_procs([own, *jobs], timeout=10)
    assert not any(process.is_running() for process in (own, *jobs))
    with pytest.raises(Overloaded, match="the service ends"):
        await checkers.run(len, b"")
