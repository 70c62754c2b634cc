"""What the command line prints: results on standard output, everything else on standard error."""

import json
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A word on what is going on."""
    err.print(text, markup=False)


def fail(text: str) -> None:
    """Why a command could not do what it was asked."""
    first, newline, rest = text.partition("\n")
    err.print(f"[bold red]error:[/] {_plain(first)}{newline}{_plain(rest)}")


def print_json(value: Any) -> None:
    """A result for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
