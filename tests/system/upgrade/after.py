"""What is looked at under the new version: all that was stored opens, goes on, and ends as it would have."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.system.upgrade import comparing
from tests.system.upgrade.before import Before, Stored
from tests.system.upgrade.reading import answers, take
from tests.system.upgrade.report import Found, say
from tests.system.upgrade.results import Results
from tests.system.upgrade.stack import Json, Stack

Promise = tuple[str, Callable[[], Found]]


def promises(stack: Stack, before: Before, digits: Path) -> list[Promise]:
    """Return every promise in the order in which they are looked at.

    Args:
        stack: Of the new version, which has just come up.
        before: What was stored.
        digits: The file that both versions run.
    """
    paused, searched, failed = before.paused, before.searched, before.failed
    return [
        ("all that is stored opens", partial(opens, stack, list(before.all()))),
        ("the paused one, resumed, ends as its twin", partial(resumed, stack, paused, before.paused_twin)),
        ("the paused search, resumed, ends as its twin", partial(resumed, stack, searched, before.searched_twin)),
        ("the failed one, retried, ends as its twin", partial(retried, stack, failed, before.failed_twin)),
        ("a finished one is verified", partial(verified, stack, before.paused_twin)),
        ("a chain of the digits is verified", partial(verified, stack, before.digits, "TIT")),
        ("the digits, run now, end as before", partial(repeated, stack, digits, before.digits)),
        ("what had finished is as it was", partial(opens, stack, before.finished())),
        ("no run is lost or doubled", partial(unchanged, stack, list(before.all()))),
    ]


def opens(stack: Stack, stored: Iterable[Stored]) -> Found:
    """Compare what the API says now with what it said, field by field."""
    wrong: list[str] = []
    gone: set[str] = set()
    values = experiments = 0
    for each in stored:
        found = answers(stack, each.id)
        wrong += [f"{each.name}: {line}" for line in comparing.common("", each.answers, found)]
        gone |= set(comparing.dropped("", each.answers, found))
        values, experiments = values + comparing.num_values(each.answers), experiments + 1
    listed = {each["id"] for each in _listed(stack)}
    wrong += [f"{each.name} is not listed" for each in stored if each.id not in listed]
    compared = f"{values} values in what is said of {experiments} experiments, their comparisons and their events"
    return Found(f"{compared}; no longer said: {', '.join(sorted(gone)) or 'nothing'}", wrong)


def _listed(stack: Stack) -> list[Json]:
    found: list[Json] = stack.get("/experiments").json()["experiments"]
    return found


def resumed(stack: Stack, paused: Stored, twin: Stored) -> Found:
    """Resume a paused experiment and compare its end with that of the one that was left alone."""
    stack.tet("resume", paused.id)
    return _ends_as(stack, paused, twin)


def retried(stack: Stack, failed: Stored, twin: Stored) -> Found:
    """Retry a failed experiment, whose pictures are back, and compare its end in the same way."""
    stack.tet("retry", failed.id)
    found = _ends_as(stack, failed, twin)
    outcomes = stack.view(failed.id)["history"]
    old = failed.answers["experiment"]
    if len(outcomes) != 1:
        return Found(found.compared, [*found.wrong, f"its history has {len(outcomes)} outcomes, not 1"])
    return Found(
        f"{found.compared}, and its history says how it had failed",
        [*found.wrong, *comparing.common("history[0]", old, outcomes[0])],
    )


def _ends_as(stack: Stack, stored: Stored, twin: Stored) -> Found:
    stack.await_state(stored.id, "succeeded")
    results = take(stack, stored.id)
    return Found(results.told(), comparing.outcomes(twin.results, results))


def verified(stack: Stack, finished: Stored, arm: str | None = None) -> Found:
    """Replay every stage of a finished experiment, or those of the first chain of an arm."""
    chains = [each for each in finished.answers["experiment"]["chains"] if arm in (None, each["arm"])]
    chosen = chains if arm is None else chains[:1]
    only = [] if arm is None else ["--chain", chosen[0]["id"]]
    lines = stack.tet("verify", finished.id, *only).splitlines()
    for line in lines:
        say(f"        {line}")
    num_stages = sum(len(each["stages"]) for each in chosen)
    equal = sum(": equal" in line for line in lines)
    return Found(f"{equal} of {num_stages} stages are equal", [] if equal == num_stages else ["not all of them"])


def repeated(stack: Stack, spec: Path, stored: Stored) -> Found:
    """Run a spec again, and compare it with what it came to under the version before."""
    experiment_id = stack.submit(spec)
    stack.await_state(experiment_id, "succeeded")
    results = take(stack, experiment_id)
    return Found(results.told(), comparing.outcomes(stored.results, results))


def unchanged(stack: Stack, stored: Iterable[Stored]) -> Found:
    """Compare the runs, and what had succeeded, with what there was before."""
    wrong: list[str] = []
    runs = 0
    for each in stored:
        results = take(stack, each.id)
        wrong += [f"{each.name}: {line}" for line in comparing.kept(each.results, results) + _doubled(results)]
        runs += sum(map(len, each.results.runs.values()))
    return Found(f"{runs} runs are found by their tags, and are the only ones of their places", wrong)


def _doubled(results: Results) -> list[str]:
    return [f"{len(ids)} runs of {where}" for where, ids in results.runs.items() if len(ids) != 1]


def left_over(stack: Stack) -> Found:
    """Look, once the stack is down, who is still there, and end them."""
    found = list(stack.place.end_all())
    return Found("no process is left of it", found)
