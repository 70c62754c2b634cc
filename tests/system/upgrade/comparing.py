"""The differences between two results of experiments, or between two answers of the API, as messages."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.system.upgrade.results import Results, outcome

# The longest value that is shown in full, in characters.
MAX_SHOWN = 200
# How many differences of a kind are shown.
SHOWN = 5


def outcomes(expected: Results, found: Results) -> list[str]:
    """Return the differences between two runs of one spec."""
    pairs = zip(outcome(expected), outcome(found), strict=True)
    return [line for (name, old), (_, new) in pairs for line in _of_mappings(name, old, new)]


def kept(before: Results, after: Results) -> list[str]:
    """Return what should have stayed the same in an experiment and did not.

    A chain or stage that had a run must keep it, and get no other one. A stage that had succeeded must not change, and
    must have no further attempt.
    """
    wrong = _of_mappings("runs", before.runs, {where: after.runs.get(where) for where in before.runs})
    done = [where for where, state in before.states.items() if state.startswith("succeeded")]
    for name, old, new in (
        ("attempts", before.attempts, after.attempts),
        ("weights", before.hashes, after.hashes),
        ("series", before.series, after.series),
    ):
        wrong += _of_mappings(name, {at: old.get(at) for at in done}, {at: new.get(at) for at in done})
    return wrong


def common(path: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the differences in fields that both answers have."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in old.keys() & new.keys():
            yield from common(f"{path}.{key}", old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from common(f"{path}[{number}]", *pair)
    elif old != new:
        yield f"{path}: {_cut(old)} became {_cut(new)}"


def dropped(path: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the fields that only the old answer has; for a list, those of its first element."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from (f"{path}.{key}" for key in old.keys() - new.keys())
        for key in old.keys() & new.keys():
            yield from dropped(f"{path}.{key}", old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and old and new:
        yield from dropped(f"{path}[]", old[0], new[0])


def num_values(answer: Any) -> int:
    """Return the number of values in an answer."""
    if isinstance(answer, Mapping):
        return sum(num_values(each) for each in answer.values())
    return sum(num_values(each) for each in answer) if isinstance(answer, list) else 1


def _of_mappings(name: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    differing = [where for where in {**expected, **found} if expected.get(where) != found.get(where)]
    lines = [f"{name} of {at}: {_difference(expected.get(at), found.get(at))}" for at in differing[:SHOWN]]
    more = len(differing) - SHOWN
    return [*lines, f"{name}: {more} more differ"] if more > 0 else lines


def _difference(expected: Any, found: Any) -> str:
    if isinstance(expected, list) and isinstance(found, list):
        lost, added = [each for each in expected if each not in found], [each for each in found if each not in expected]
        return f"{_cut(lost)} became {_cut(added)} (of {len(expected)} and {len(found)})"
    return f"{_cut(expected)} became {_cut(found)}"


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
