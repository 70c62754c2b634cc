"""The checks under the new version: stored experiments open, continue, and end as under the version before."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.system.upgrade import comparing
from tests.system.upgrade.before import Before, Stored
from tests.system.upgrade.reading import answers, take
from tests.system.upgrade.report import Checked, say
from tests.system.upgrade.results import Results
from tests.system.upgrade.stack import Json, Stack

Promise = tuple[str, Callable[[], Checked]]


def promises(stack: Stack, before: Before, digits: Path) -> list[Promise]:
    """Return the promises in the order in which they are checked.

    Args:
        stack: The stack of the new version, which has just started.
        before: The experiments of the version before.
        digits: The spec file that both versions run.
    """
    paused, searched, failed = before.paused, before.searched, before.failed
    return [
        ("all stored experiments open", partial(opens, stack, list(before.all()))),
        ("the paused experiment, resumed, ends like its twin", partial(resumed, stack, paused, before.paused_twin)),
        ("the paused search, resumed, ends like its twin", partial(resumed, stack, searched, before.searched_twin)),
        ("the failed experiment, retried, ends like its twin", partial(retried, stack, failed, before.failed_twin)),
        ("a finished experiment is verified", partial(verified, stack, before.paused_twin)),
        ("a chain of the digits example is verified", partial(verified, stack, before.digits, "TIT")),
        ("the digits example, run again, ends as before", partial(repeated, stack, digits, before.digits)),
        ("finished experiments are unchanged", partial(opens, stack, before.finished())),
        ("no run is lost or doubled", partial(unchanged, stack, list(before.all()))),
    ]


def opens(stack: Stack, stored: Iterable[Stored]) -> Checked:
    """Compare the API's answers now with those before, field by field."""
    wrong: list[str] = []
    gone: set[str] = set()
    values = experiments = 0
    for each in stored:
        new_answers = answers(stack, each.id)
        wrong += [f"{each.name}: {line}" for line in comparing.common("", each.answers, new_answers)]
        gone |= set(comparing.dropped("", each.answers, new_answers))
        values, experiments = values + comparing.num_values(each.answers), experiments + 1
    listed = {each["id"] for each in _listed(stack)}
    wrong += [f"{each.name} is not listed" for each in stored if each.id not in listed]
    compared = f"{values} values in the answers about {experiments} experiments, their comparisons and their events"
    return Checked(f"{compared}; fields that are gone: {', '.join(sorted(gone)) or 'none'}", wrong)


def _listed(stack: Stack) -> list[Json]:
    experiments: list[Json] = stack.get("/experiments").json()["experiments"]
    return experiments


def resumed(stack: Stack, paused: Stored, twin: Stored) -> Checked:
    """Resume a paused experiment and compare its end with that of its undisturbed twin."""
    stack.tet("resume", paused.id)
    return _ends_as(stack, paused, twin)


def retried(stack: Stack, failed: Stored, twin: Stored) -> Checked:
    """Retry a failed experiment, whose pictures are back, and compare its end with that of its twin."""
    stack.tet("retry", failed.id)
    checked = _ends_as(stack, failed, twin)
    outcomes = stack.view(failed.id)["history"]
    old = failed.answers["experiment"]
    if len(outcomes) != 1:
        return Checked(checked.compared, [*checked.wrong, f"its history has {len(outcomes)} outcomes, not 1"])
    return Checked(
        f"{checked.compared}, and its history has the failure",
        [*checked.wrong, *comparing.common("history[0]", old, outcomes[0])],
    )


def _ends_as(stack: Stack, stored: Stored, twin: Stored) -> Checked:
    stack.await_state(stored.id, "succeeded")
    results = take(stack, stored.id)
    return Checked(results.summary(), comparing.outcomes(twin.results, results))


def verified(stack: Stack, finished: Stored, arm: str | None = None) -> Checked:
    """Replay every stage of a finished experiment, or those of the first chain of an arm."""
    chains = [each for each in finished.answers["experiment"]["chains"] if arm in (None, each["arm"])]
    chosen = chains if arm is None else chains[:1]
    only = [] if arm is None else ["--chain", chosen[0]["id"]]
    lines = stack.tet("verify", finished.id, *only).splitlines()
    for line in lines:
        say(f"        {line}")
    num_stages = sum(len(each["stages"]) for each in chosen)
    equal = sum(": equal" in line for line in lines)
    return Checked(
        f"{equal} of {num_stages} stages are equal", [] if equal == num_stages else ["not all stages are equal"]
    )


def repeated(stack: Stack, spec: Path, stored: Stored) -> Checked:
    """Run a spec again, and compare its results with those of the version before."""
    experiment_id = stack.submit(spec)
    stack.await_state(experiment_id, "succeeded")
    results = take(stack, experiment_id)
    return Checked(results.summary(), comparing.outcomes(stored.results, results))


def unchanged(stack: Stack, stored: Iterable[Stored]) -> Checked:
    """Compare the runs and the succeeded stages with those before."""
    wrong: list[str] = []
    runs = 0
    for each in stored:
        results = take(stack, each.id)
        wrong += [f"{each.name}: {line}" for line in comparing.kept(each.results, results) + _doubled(results)]
        runs += sum(map(len, each.results.runs.values()))
    return Checked(f"{runs} runs are found by their tags, one for each chain and stage", wrong)


def _doubled(results: Results) -> list[str]:
    return [f"{len(ids)} runs of {where}" for where, ids in results.runs.items() if len(ids) != 1]


def left_over(stack: Stack) -> Checked:
    """Check that no process of a stopped stack is left, and end those that are."""
    processes = list(stack.place.end_all())
    return Checked("no process is left", processes)
