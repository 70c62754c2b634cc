r"""Output of the command line: results on standard output, everything else on standard error.

Names, reasons, errors and log lines come from elsewhere. Their control characters must not reach the terminal, where
they could move the cursor, hide text or change the window's title. They are printed as escapes, such as `\x1b`.
"""

import contextlib
import errno
import json
import os
import re
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from service.text import json_printable, printable

# Colours and other sequences with which programs format a terminal; in a log they are only noise.
_FORMATTING = re.compile(r"\x1b\[[0-9;:]*[mK]")


class SafeConsole(Console):
    """A console that escapes hidden characters of everything that it prints; its own colours stay."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text with its escapes before it is laid out, so that columns have the right width."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is written for an object that is not a string, with escapes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


if sys.stdout is None:  # closed by the caller (`>&-`), who wants no output
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
# A pipe has no width; 200 columns are enough for every table. A name such as ":bomb:" must not become a picture.
out = SafeConsole(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)
err = SafeConsole(stderr=True, highlight=False, emoji=False)


class LogPrinter:
    """A printer of a log's bytes, which come in parts: a part may end within a character or an escape sequence."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._kept = ""

    def print(self, part: bytes, *, last: bool = False) -> None:
        """Print a part of the log.

        Args:
            part: The bytes that follow those of the part before.
            last: Whether no other part follows.
        """
        text = self._kept + self._decoder.decode(part, final=last)
        end = len(text) if last else _end_of_whole(text)
        text, self._kept = text[:end], text[end:]
        sys.stdout.write(log_text(text))
        sys.stdout.flush()


def log_text(text: str) -> str:
    """Return text of a log as it is printed: without colours; each state of a progress bar is a line of its own."""
    lines = _FORMATTING.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return printable(lines)


def say(text: str) -> None:
    """Print a message about progress; if it cannot be written to standard error, continue without it."""
    with contextlib.suppress(OSError):
        err.print(text, markup=False, soft_wrap=True)


def fail(text: str) -> None:
    """Print why a command failed."""
    first, newline, rest = text.partition("\n")
    with contextlib.suppress(OSError):
        err.print(f"[bold red]error:[/] {escape(first)}{newline}{escape(rest)}", soft_wrap=True)


def fail_of_system(error: OSError) -> None:
    """Print why the operating system refused something, most often to write the output.

    If the reader of a pipe, such as `head`, has closed it, print nothing: the reader has what it wants.
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
    print(json_printable(json.dumps(value, ensure_ascii=False, indent=2)))


def _end_of_whole(text: str) -> int:
    """Return where an unfinished escape sequence or line end begins; the length of the text if there is none."""
    unfinished = re.search(r"(?:\x1b(?:\[[0-9;:]{0,32})?|\r)\Z", text)
    return len(text) if unfinished is None else unfinished.start()
