"""The promises about a crowd that has run. Each check yields a message for each broken promise."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from mlflow import MlflowClient
from mlflow.entities import Run

from service.runner.commits.reading import read_commits
from service.runner.commits.records import Commit
from service.storage import ExperimentFolder
from tests.local_stack import Json, LocalStack
from tests.system.queue.crowd import Fate, Member

# The age, in s, from which an experiment counts as queued. The reconciler reads the queue once in each round, so it may
# miss an experiment that was posted after the round began. On a busy machine, a round may take this long.
ROUND_S = 30.0
RUNNING_STATES = ("starting", "running", "pausing")


def check_all(stack: LocalStack, members: list[Member], max_running: int) -> list[str]:
    """Return a message for each broken promise."""
    client = MlflowClient(stack.settings.mlflow_url)
    broken = []
    for member in members:
        member.view = stack.get(f"/experiments/{member.id}")
        _read_times(stack, member)
        messages = [*_outcome(member), *_results(stack, client, member)]
        broken += [f"{member.view['name']}: {line}" for line in messages]
    return [*broken, *_limit(members, max_running), *_order(members), *_jobs(stack, members)]


def _read_times(stack: LocalStack, member: Member) -> None:
    """Read from an experiment's events when it ran."""
    with stack.http as http:
        text = http.get(f"/experiments/{member.id}/events").raise_for_status().text
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines.get("event") != "experiment":
            continue
        data = json.loads(lines["data"])
        at = datetime.fromisoformat(data["at"])
        if data["state"] in RUNNING_STATES and member.started_at is None:
            member.started_at = at
        if data["state"] == member.view["state"]:
            member.ended_at = at


def _outcome(member: Member) -> Iterator[str]:
    """Check that an experiment has succeeded completely, or is cancelled if it was cancelled."""
    state, stage = member.view["state"], _stage(member)
    wanted = "succeeded" if member.cancelled_at is None else "cancelled"
    # It may have succeeded before the cancellation.
    ended_before = state == "succeeded" and (
        member.fate is Fate.SOME_TIME or (member.fate is Fate.IN_QUEUE and member.had_started)
    )
    if state != wanted and not ended_before:
        yield f"is {state} ({member.view['reason']}), and should be {wanted}"
    if stage["state"] != state:
        yield f"is {state}, and its stage is {stage['state']}"
    if state == "succeeded" and stage["epoch"] != member.epochs:
        yield f"has succeeded with {stage['epoch']} of {member.epochs} epochs"
    if member.fate is Fate.IN_QUEUE and not member.had_started and (member.view["started_at"] or stage["epoch"]):
        yield "was cancelled in the queue, and has started"
    if member.fate is Fate.RUNNING and stage["epoch"] < member.cancel_after:
        yield f"has {stage['epoch']} epochs, and had {member.cancel_after} before it was cancelled"
    if stage["attempts"] > 1:
        yield f"took {stage['attempts']} attempts, and nothing died"


def _results(stack: LocalStack, client: MlflowClient, member: Member) -> Iterator[str]:
    """Check that journal, API and MLflow agree: one parent, one child, every committed epoch once."""
    stage = _stage(member)
    folder = ExperimentFolder(stack.settings.storage, member.id)
    commits = read_commits(folder.stage(member.view["chains"][0]["id"], 0))
    if len(commits) != stage["epoch"]:
        yield f"has {stage['epoch']} epochs in the API, and {len(commits)} are committed"
    if len(folder.driver_numbers()) > 1:
        yield f"had {len(folder.driver_numbers())} drivers, and nothing died"
    link = member.view["links"]["mlflow"]
    if link is None:
        if commits:
            yield "has committed epochs, and no experiment in MLflow"
        return
    found = client.search_runs([link.split("/experiments/")[1].split("/")[0]], max_results=100)
    runs = [run for run in found if "tet.chain" in run.data.tags]
    children = [run for run in runs if "tet.stage" in run.data.tags]
    parents = len(runs) - len(children)
    if (parents, len(children)) != (1, 1) and (commits or runs):
        yield f"has {parents} parent and {len(children)} child runs in MLflow"
    if len(children) == 1:
        yield from _series(client, children[0], commits)


def _series(client: MlflowClient, run: Run, commits: list[Commit]) -> Iterator[str]:
    journal = Counter((key, commit.epoch, value) for commit in commits for key, value in commit.metrics.items())
    points = (point for key in run.data.metrics for point in client.get_metric_history(run.info.run_id, key))
    shipped = Counter((point.key, point.step, point.value) for point in points)
    if shipped != journal:
        lost, more = journal - shipped, shipped - journal
        yield f"MLflow lacks {lost.total()} of {journal.total()} points and has {more.total()} that it should not"


def _limit(members: list[Member], max_running: int) -> Iterator[str]:
    """Check how many experiments ran at once. An end counts before a start at the same time."""
    changes = [(member.started_at, 1) for member in members if member.started_at] + [
        (member.ended_at, -1) for member in members if member.started_at and member.ended_at
    ]
    num_running = most = 0
    for _, change in sorted(changes):
        num_running += change
        most = max(most, num_running)
    if most != max_running:
        yield f"at most {most} experiments ran at once; expected: {max_running}"


def _order(members: list[Member]) -> Iterator[str]:
    """Check that no experiment started while one with a higher priority, or an older one with the same, waited."""
    for late in members:
        for early in members:
            if early.started_at is None or not _outranks(late, early):
                continue
            left = min(filter(None, (late.started_at, late.cancelled_at)), default=None)
            was_there = _created(late) + timedelta(seconds=ROUND_S) < early.started_at
            if was_there and (left is None or left > early.started_at):
                yield f"{early.view['name']} started before {late.view['name']}, which ranked higher"


def _outranks(one: Member, other: Member) -> bool:
    return (-one.priority, _created(one), one.id) < (-other.priority, _created(other), other.id)


def _jobs(stack: LocalStack, members: list[Member]) -> Iterator[str]:
    """Check that Ray had one job of each experiment that started, and no other jobs."""
    jobs = {job["submission_id"] for job in stack.ray("/api/jobs/") if job["submission_id"]}
    wanted = {f"tet-{member.id}-1" for member in members if member.started_at}
    # An experiment may be cancelled after it has left the queue and before its job is submitted.
    missing = {job for job in wanted - jobs if not _was_cancelled(members, job)}
    if missing or jobs - wanted:
        yield f"Ray lacks the jobs {sorted(missing)} and has {sorted(jobs - wanted)} that it should not"


def _was_cancelled(members: Iterable[Member], job: str) -> bool:
    return any(member.cancelled_at for member in members if f"tet-{member.id}-1" == job)


def _created(member: Member) -> datetime:
    return datetime.fromisoformat(member.view["created_at"])


def _stage(member: Member) -> Json:
    stage: Json = member.view["chains"][0]["stages"][0]
    return stage


def table(members: list[Member]) -> str:
    """Return a table of the experiments with their times, in s, in the order of their starts."""
    first = min(map(_created, members))

    def seconds(at: datetime | None) -> str:
        return f"{(at - first).total_seconds():7.1f}" if at else "      –"

    head = f"{'experiment':28} priority   posted  started    ended  state"
    ordered = sorted(members, key=lambda member: (member.started_at is None, member.started_at or _created(member)))
    lines = [
        f"{member.view['name']:28} {member.priority:8}  {seconds(_created(member))}  {seconds(member.started_at)}"
        f"  {seconds(member.ended_at)}  {member.view['state']}"
        for member in ordered
    ]
    return "\n".join(["", head, *lines, ""])
