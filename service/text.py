r"""Text that people read: which characters it may hold, and how others are shown.

A name is read back in terminals, pages and logs. Control characters (ESC, NUL) move the cursor or change colours
there, bidirectional controls (U+202E) reverse what follows, and invisible characters make two names look alike. The API
refuses all of these in what is posted. Programs that print text from elsewhere escape them, as in `\u202e`.

The ranges are constants, not the tables of this Python: what one version accepts, another version accepts too.
Accepted are characters without a meaning yet, which newer emoji are for an older Python, and those of private use.
"""

import re
import unicodedata

_CLASS = (
    r"\x00-\x1f\x7f-\x9f"  # control characters (Cc)
    r"\u2028\u2029\ufff9-\ufffb"  # separators of lines and paragraphs, annotations
    r"\ud800-\udfff"  # halves of surrogate pairs (Cs)
    # What Unicode calls Default_Ignorable_Code_Point: bidirectional controls, joiners, spaces without width, fillers,
    # variation selectors, tags.
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # No characters, and never will be: these, and the last two of each plane.
    r"\ufdd0-\ufdef" + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))
)
_HIDDEN = re.compile(f"[{_CLASS}]")
_HIDDEN_IN_LINES = re.compile(rf"(?![\t\n])[{_CLASS}]")
# An emoji that is also a text symbol, such as U+2764 (a heart), is followed by U+FE0F wherever it is typed.
_EMOJI_STYLE = "\ufe0f"
_SYMBOLS = ("So", "Sm")
# The names that Unicode gives to none of its control characters; of others `unicodedata` knows the name.
_CONTROL_NAMES = {"\0": "NUL", "\a": "BELL", "\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE"}

# What a JSON schema says of a line: as the check below, but U+FE0F is refused anywhere.
LINE_PATTERN = (
    "^[^"
    + re.sub(
        r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})",
        lambda match: chr(int(match[1] or match[2], 16)),
        _CLASS.replace(r"\ud800-\udfff", ""),  # no request can hold them
    )
    + "]*$"
)

ACCEPTED = "must hold no control, bidirectional or invisible characters"


def hidden_in(text: str, *, multiline: bool = False) -> str | None:
    """Return what is wrong with the characters of a text that a user sends; None if nothing is.

    Args:
        text: The text.
        multiline: Whether line feeds and tabs are accepted, as in a description.

    Returns:
        A sentence with the first character that is refused: its code point, its name and its place, counted from 1.
    """
    refused = [match.start() for match in _pattern(multiline).finditer(text) if not _is_emoji_style(text, match)]
    if not refused:
        return None
    accepted = f"{ACCEPTED} except line feeds and tabs" if multiline else ACCEPTED
    more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
    return f"{accepted}; character {refused[0] + 1} is {named(text[refused[0]])}{more}"


def without_hidden(text: str) -> str:
    """Return the text of one line unchanged: a validator.

    Raises:
        ValueError: It holds a character that is refused.
    """
    if (problem := hidden_in(text)) is not None:
        raise ValueError(problem)
    return text


def printable(text: str) -> str:
    r"""Return text that may be printed: hidden characters, except line feeds and tabs, as `\x1b` and `\u202e`."""
    return _HIDDEN_IN_LINES.sub(lambda match: escaped(match[0]), text)


def printable_line(text: str) -> str:
    r"""Return text that may be printed in one line: line feeds and tabs are escaped too, as `\x0a` and `\x09`."""
    return _HIDDEN.sub(lambda match: escaped(match[0]), text)


def escaped(character: str) -> str:
    """Return a character as Python and JSON write it in ASCII."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_printable(document: str) -> str:
    """Return a JSON document of the same meaning, in which hidden characters are JSON's escapes."""
    return _HIDDEN_IN_LINES.sub(lambda match: _json_escape(match[0]), document)


def named(character: str) -> str:
    """Return a character's code point, with its name if it has one: `U+202E (RIGHT-TO-LEFT OVERRIDE)`."""
    name = _CONTROL_NAMES.get(character) or unicodedata.name(character, "")
    if not name:
        name = {"Cc": "a control character", "Cs": "half of a surrogate pair"}.get(unicodedata.category(character), "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


def _pattern(multiline: bool) -> re.Pattern[str]:
    return _HIDDEN_IN_LINES if multiline else _HIDDEN


def _is_emoji_style(text: str, match: re.Match[str]) -> bool:
    before = text[match.start() - 1 : match.start()]
    return match[0] == _EMOJI_STYLE and before != "" and unicodedata.category(before) in _SYMBOLS


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
