"""The rules against comments that switch the formatter off, and against words that have to be read twice."""

import re
from collections.abc import Iterator

from tests.tools.house_rules.tree import Finding, Source

MAX_FMT_SKIPS = 10
_FMT_SKIP = re.compile(r"#\s*fmt:\s*(skip|off)\b")

# The word, and what to write instead.
DIALECT = {
    "anew": "again",
    "are told": "say who does what: report, send, print",
    "has come to": "say what it is now, or has reached",
    "is told": "say who does what: reports, sends, prints",
    "of its own accord": "by itself",
    "thereof": "of it",
    "whichever": "any, or name which",
    "whoever": "name who: the process, the caller, the first writer",
}
# A phrase may continue on the next line, which may begin with the mark of a comment or of a quotation.
_BREAK = r"(?:\s+(?:(?:#|//|>|\*)\s*)?)"
_PHRASES = {
    phrase: re.compile(rf"\b{_BREAK.join(map(re.escape, phrase.split()))}\b", re.IGNORECASE) for phrase in DIALECT
}


def fmt_skips(files: list[Source]) -> Iterator[Finding]:
    """Find the places, beyond the tenth, that switch the formatter off."""
    places = [
        (file, file.text.count("\n", 0, match.start()) + 1)
        for file in files
        if file.is_python and not file.is_of_the_rules
        for match in _FMT_SKIP.finditer(file.text)
    ]
    for number, (file, line) in enumerate(places[MAX_FMT_SKIPS:], MAX_FMT_SKIPS + 1):
        what = f"the formatter is switched off in {number} places, of which {MAX_FMT_SKIPS} are accepted"
        yield file.finding(line, what, "remove the comment, and shorten the line or name a part of it")


def dialect(files: list[Source]) -> Iterator[Finding]:
    """Find words that make a reader read a sentence twice."""
    for file in files:
        for phrase, pattern in _PHRASES.items() if not file.is_of_the_rules else ():
            for match in pattern.finditer(file.text):
                line = file.text.count("\n", 0, match.start()) + 1
                yield file.finding(line, f'"{phrase}" has to be read twice', f"write: {DIALECT[phrase]}")
