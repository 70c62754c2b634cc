"""What has to be true of a crowd that has run: each check yields a line for everything that is not."""

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

# The queue is judged once in a round, of which nothing tells when it began: who is younger than this may not have been
# there yet when its betters were called. On a machine that is busy with other things, a round takes its time.
ROUND_S = 30.0
AT_WORK = ("starting", "running", "pausing")


def check_all(stack: LocalStack, members: list[Member], max_running: int) -> list[str]:
    """Every broken promise, in words."""
    client = MlflowClient(stack.settings.mlflow_url)
    broken = []
    for member in members:
        member.view = stack.get(f"/experiments/{member.id}")
        _read_times(stack, member)
        found = [*_outcome(member), *_results(stack, client, member)]
        broken += [f"{member.view['name']}: {line}" for line in found]
    return [*broken, *_limit(members, max_running), *_order(members), *_jobs(stack, members)]


def _read_times(stack: LocalStack, member: Member) -> None:
    """When it was at work, by what it told those who follow it."""
    with stack.http as http:
        text = http.get(f"/experiments/{member.id}/events").raise_for_status().text
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines.get("event") != "experiment":
            continue
        data = json.loads(lines["data"])
        at = datetime.fromisoformat(data["at"])
        if data["state"] in AT_WORK and member.began is None:
            member.began = at
        if data["state"] == member.view["state"]:
            member.ended = at


def _outcome(member: Member) -> Iterator[str]:
    """Who was not cancelled has succeeded, all of it; who was has ended cancelled."""
    state, stage = member.view["state"], _stage(member)
    wanted = "succeeded" if member.cancelled_at is None else "cancelled"
    # Done before the cancellation came to it.
    overtaken = state == "succeeded" and (
        member.fate is Fate.SOME_TIME or (member.fate is Fate.IN_QUEUE and member.was_begun)
    )
    if state != wanted and not overtaken:
        yield f"is {state} ({member.view['reason']}), and should be {wanted}"
    if stage["state"] != state:
        yield f"its stage is {stage['state']} at the end of one that is {state}"
    if state == "succeeded" and stage["epoch"] != member.epochs:
        yield f"has succeeded with {stage['epoch']} of {member.epochs} epochs"
    if member.fate is Fate.IN_QUEUE and not member.was_begun and (member.view["started_at"] or stage["epoch"]):
        yield "was cancelled in the queue, and has begun all the same"
    if member.fate is Fate.AT_WORK and stage["epoch"] < member.cancel_after:
        yield f"shows {stage['epoch']} epochs, and had {member.cancel_after} before it was cancelled"
    if stage["attempts"] > 1:
        yield f"took {stage['attempts']} attempts, and nothing died"


def _results(stack: LocalStack, client: MlflowClient, member: Member) -> Iterator[str]:
    """Journal, API and MLflow tell the same: one parent, one child, every committed epoch once."""
    stage = _stage(member)
    folder = ExperimentFolder(stack.settings.storage, member.id)
    commits = read_commits(folder.stage(member.view["chains"][0]["id"], 0))
    if len(commits) != stage["epoch"]:
        yield f"shows {stage['epoch']} epochs, and {len(commits)} are committed"
    if len(folder.driver_numbers()) > 1:
        yield f"had {len(folder.driver_numbers())} drivers, and nothing died"
    link = member.view["links"]["mlflow"]
    if link is None:
        if commits:
            yield "has committed epochs, and no experiment in MLflow"
        return
    runs = list(client.search_runs([link.split("/experiments/")[1].split("/")[0]], max_results=100))
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
    """At no time were more at work than may be; ends count before begins of the same moment."""
    changes = [(member.began, 1) for member in members if member.began] + [
        (member.ended, -1) for member in members if member.began and member.ended
    ]
    at_work = most = 0
    for _, change in sorted(changes):
        at_work += change
        most = max(most, at_work)
    if most != max_running:
        yield f"{most} were at work at once, and {max_running} should have been at most, and at times"


def _order(members: list[Member]) -> Iterator[str]:
    """Nobody went before somebody who waited already with a higher priority, or with the same one for longer."""
    for late in members:
        for early in members:
            if early.began is None or not _outranks(late, early):
                continue
            left = min(filter(None, (late.began, late.cancelled_at)), default=None)
            was_there = _created(late) + timedelta(seconds=ROUND_S) < early.began
            if was_there and (left is None or left > early.began):
                yield f"{early.view['name']} began before {late.view['name']}, which had more right to"


def _outranks(one: Member, other: Member) -> bool:
    return (-one.priority, _created(one), one.id) < (-other.priority, _created(other), other.id)


def _jobs(stack: LocalStack, members: list[Member]) -> Iterator[str]:
    """Ray had one job of each that began, and none of the others."""
    jobs = {job["submission_id"] for job in stack.ray("/api/jobs/") if job["submission_id"]}
    wanted = {f"tet-{member.id}-1" for member in members if member.began}
    # Cancelled between its turn and its submission, it never came so far.
    missing = {job for job in wanted - jobs if not _was_cancelled(members, job)}
    if missing or jobs - wanted:
        yield f"Ray lacks the jobs {sorted(missing)} and has {sorted(jobs - wanted)} that it should not"


def _was_cancelled(members: Iterable[Member], job: str) -> bool:
    return any(member.cancelled_at for member in members if f"tet-{member.id}-1" == job)


def _created(member: Member) -> datetime:
    return datetime.fromisoformat(member.view["created_at"])


def _stage(member: Member) -> Json:
    found: Json = member.view["chains"][0]["stages"][0]
    return found


def table(members: list[Member]) -> str:
    """Who waited and ran for how long, in the order in which they began."""
    first = min(map(_created, members))

    def seconds(at: datetime | None) -> str:
        return f"{(at - first).total_seconds():7.1f}" if at else "      –"

    head = f"{'experiment':28} priority   posted    began    ended  state"
    ordered = sorted(members, key=lambda member: (member.began is None, member.began or _created(member)))
    lines = [
        f"{member.view['name']:28} {member.priority:8}  {seconds(_created(member))}  {seconds(member.began)}"
        f"  {seconds(member.ended)}  {member.view['state']}"
        for member in ordered
    ]
    return "\n".join(["", head, *lines, ""])
