import subprocess
import sys
from pathlib import Path

import pytest

from service.cli.stack import log_files

# A process that prints each line that it reads, and then prints `ok` to stderr.
ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True); print('ok', file=sys.stderr, flush=True)"


def test_a_log_that_is_too_long_is_moved_aside_while_its_process_writes_on(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stderr is not None

        def write(line: str) -> None:
            print(line, file=process.stdin, flush=True)
            assert process.stderr is not None
            assert process.stderr.readline() == "ok\n"

        write("first")
        assert not log_files.rotate(log, 10)
        write("second")
        assert log_files.rotate(log, 10)
        write("third")
        process.stdin.close()
    assert log.read_text() == "third\n"
    # The last 10 bytes of the content "first\nsecond\n".
    assert log_files.previous(log).read_text() == "st\nsecond\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.log", "api.previous.log"]


def test_a_log_that_cannot_be_copied_is_emptied_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("x" * 100)
    log_files.previous(log).mkdir()  # so the copy cannot be stored, as on a full disk
    assert log_files.rotate(log, 10)
    assert log.read_bytes() == b""


@pytest.mark.parametrize("content", [None, "", "x" * 10])
def test_a_short_or_missing_log_is_left_alone(tmp_path: Path, content: str | None) -> None:
    log = tmp_path / "api.log"
    if content is not None:
        log.write_text(content)
    assert not log_files.rotate(log, 10)
    assert log.exists() == (content is not None)
    assert not log_files.previous(log).exists()


def test_a_start_puts_the_last_log_aside(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log_files.start_new(log)
    log.write_text("of before")
    log_files.start_new(log)
    assert not log.exists()
    assert log_files.previous(log).read_text() == "of before"
