"""Lists as part of a sentence."""

from collections.abc import Sequence


def listed(items: Sequence[str], longest: int, last: str = "and") -> str:
    """Return items as a list in words: "a, b and c", or the first ones and how many more.

    Args:
        items: The items.
        longest: The largest number of items to list.
        last: The word before the last item.
    """
    if len(items) > longest:
        return f"{', '.join(items[:longest])} and {len(items) - longest:,} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
