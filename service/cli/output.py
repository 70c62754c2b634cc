"""Output of the command line: results on standard output, everything else on standard error."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

# A pipe has no width; 200 columns are enough for every table.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print a message about progress."""
    err.print(text, markup=False, soft_wrap=True)


def fail(text: str) -> None:
    """Print why a command failed."""
    first, newline, rest = text.partition("\n")
    err.print(f"[bold red]error:[/] {escape(first)}{newline}{escape(rest)}", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
