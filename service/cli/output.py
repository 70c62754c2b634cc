"""Output of the command line: results on standard output, everything else on standard error."""

import contextlib
import errno
import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

if sys.stdout is None:  # closed by the caller (`>&-`), who wants no output
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
# A pipe has no width; 200 columns are enough for every table.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print a message about progress; if standard error takes none, go on without."""
    with contextlib.suppress(OSError):
        err.print(text, markup=False, soft_wrap=True)


def fail(text: str) -> None:
    """Print why a command failed."""
    first, newline, rest = text.partition("\n")
    with contextlib.suppress(OSError):
        err.print(f"[bold red]error:[/] {escape(first)}{newline}{escape(rest)}", soft_wrap=True)


def fail_of_system(error: OSError) -> None:
    """Print why the operating system refused something: most often to write the output.

    A reader that has closed its pipe, such as `head`, has what it wants, and gets no message.
    """
    if error.errno != errno.EPIPE:
        reason = error.strerror or str(error)
        fail(f"{error.filename}: {reason}" if error.filename else f"the output cannot be written: {reason}")


def flush() -> None:
    """Write what is left of the output."""
    sys.stdout.flush()


def drop_output() -> None:
    """Drop what is left of the output, which Python would try to write again at its exit."""
    with contextlib.suppress(OSError, ValueError):  # not a file, as in tests
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
