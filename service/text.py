r"""Text that people read: which characters it may hold, and how others are shown.

A name is later shown in terminals, pages and logs. There, control characters (ESC, NUL) move the cursor or change
colours, bidirectional controls (U+202E) reverse the text after them, and invisible characters make two names look
alike. The API refuses all of these in what is posted. Programs that print text from elsewhere escape these characters,
as in `\u202e`.

The ranges are constants and do not come from the Unicode tables of this Python: every version accepts the same
characters. Code points that Unicode has not assigned yet are accepted (for an older Python, newer emoji are such code
points), and so are those for private use.
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
    # Code points that will never be characters: these, and the last two of each plane.
    r"\ufdd0-\ufdef" + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))
)
_HIDDEN = re.compile(f"[{_CLASS}]")
_HIDDEN_IN_LINES = re.compile(rf"(?![\t\n])[{_CLASS}]")
# Keyboards add U+FE0F after an emoji that is also a text symbol, such as U+2764 (a heart).
_EMOJI_STYLE = "\ufe0f"
_SYMBOLS = ("So", "Sm")
# Names of common control characters: `unicodedata` has names of other characters, but none of these.
_CONTROL_NAMES = {"\0": "NUL", "\a": "BELL", "\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE"}

# The rule of `hidden_in` for one line, as a pattern of a JSON schema. One difference: U+FE0F is always refused.
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
    """Check the text of one line, and return it unchanged: a validator for pydantic.

    Raises:
        ValueError: The text holds a character that is refused.
    """
    if (problem := hidden_in(text)) is not None:
        raise ValueError(problem)
    return text


def printable(text: str) -> str:
    r"""Return text that is safe to print: hidden characters, but not line feeds and tabs, become `\x1b` or `\u202e`."""
    return _HIDDEN_IN_LINES.sub(lambda match: escaped(match[0]), text)


def printable_line(text: str) -> str:
    r"""Return text that is safe to print in one line: line feeds and tabs are escaped too, as `\x0a` and `\x09`."""
    return _HIDDEN.sub(lambda match: escaped(match[0]), text)


def escaped(character: str) -> str:
    """Return a character as Python and JSON write it in ASCII."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_printable(document: str) -> str:
    """Return a JSON document with the same meaning, in which hidden characters are written as JSON's escapes."""
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
