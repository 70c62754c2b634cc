"""The description of an experiment in MLflow: the service's part, and around it what the author has written."""

import re
from collections.abc import Mapping, Sequence

from service.answers.comparisons import ComparisonView
from service.runner.shipping.arms_table import ArmRow, as_markdown

# The lines around the service's part, which MLflow does not show. Text outside them is kept.
BEGIN = "<!-- The service writes the lines from here on. It replaces them as chains end. -->"
END = "<!-- The lines of the service end here. -->"
# The largest numbers of verdicts and of notes that the text shows.
MAX_VERDICTS, MAX_NOTES = 20, 10
# The longest value of an experiment's tag that MLflow accepts, in characters.
MAX_EXPERIMENT_TAG = 20_000


def with_our_part(text: str, part: str) -> str:
    """Return a description with another part of the service; a new part comes first.

    MLflow shows the first line of a description at once, and the others after a click.
    """
    block = f"{BEGIN}\n\n{part}\n\n{END}"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        before, after = "", f"\n\n{text.strip()}" if text.strip() else ""
    described = before + block + after
    return described if len(described) <= MAX_EXPERIMENT_TAG else text  # the author's text leaves no room


def our_part(answer: ComparisonView, arms: Sequence[ArmRow], links: Mapping[str, str]) -> str:
    """Return the service's part, in Markdown: the verdicts, the table of arms, the notes and the links.

    Args:
        answer: The comparison so far.
        arms: The rows of the table.
        links: Addresses, by their text.
    """
    verdicts = [f"**{_plain(verdict)}**" for verdict in answer.verdicts[:MAX_VERDICTS]]
    notes = [f"- {_plain(note)}" for note in answer.notes if note not in answer.verdicts][:MAX_NOTES]
    in_a_line = " · ".join(f"[{text}]({address})" for text, address in links.items())
    return "\n\n".join([*verdicts, as_markdown(arms), *(["\n".join(notes)] if notes else []), in_a_line])


def _plain(text: str) -> str:
    """Return a text in which no character formats Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text)
