"""The promises of a search whose drivers are killed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlflow import MlflowClient

from service.plan import Chain, plan
from service.runner.chains.journal import Decision, Entry, Proposal, StudyJournal
from service.spec import Experiment
from service.storage import ExperimentFolder
from tests.local_stack import Json, LocalStack


@dataclass
class Found:
    """A search, and what was in its journal each time its driver was killed."""

    stack: LocalStack
    folder: ExperimentFolder
    spec: Experiment
    view: Json = field(default_factory=dict)
    remembered: list[list[Entry]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.folder.experiment_id

    def entries(self) -> list[Entry]:
        """Return the entries of its journal."""
        return list(StudyJournal(self.folder.search).news())

    def remember(self) -> None:
        """Keep the present entries, to compare them with those at the end."""
        self.remembered.append(self.entries())

    def summary(self) -> str:
        """Return how it has ended, in a line."""
        states = Counter(chain["state"] for chain in self.view["chains"])
        return f"{self.view['state']}, {', '.join(f'{num} {state}' for state, num in sorted(states.items()))}"

    def best(self) -> Json:
        """Return the choice at which the first arm is compared."""
        best: Json = self.stack.get(f"/experiments/{self.id}/comparison")["arms"][0]["choice"]
        return best


def broken_promises(found: Found, planned: Sequence[Chain] = ()) -> list[str]:
    """Return what was proposed twice, lost or undone; `planned` is what it should have proposed, if that is known."""
    entries, chains = found.entries(), found.view["chains"]
    broken = [] if found.view["state"] == "succeeded" else [f"{found.summary()}: {found.view['reason']}"]
    for number, earlier in enumerate(found.remembered, 1):
        if entries[: len(earlier)] != earlier:
            broken.append(f"the journal before kill {number} was not the beginning of the last one")
    decisions = [each for each in entries if isinstance(each, Decision)]
    places = Counter((each.arm, each.number, each.stage, each.epoch) for each in decisions if each.failure is None)
    broken += [f"{place} was decided {num} times" for place, num in places.items() if num > 1]
    proposals = Counter((each.arm, each.number) for each in entries if isinstance(each, Proposal))
    broken += [f"{key} was proposed {num} times" for key, num in proposals.items() if num > 1]
    values = Counter((each["arm"], each["seed"], *each["configuration"].items()) for each in chains)
    broken += [f"{value} is there {num} times" for value, num in values.items() if num > 1]
    if planned and {each.id: dict(each.hyperparameters) for each in planned} != {
        each["id"]: each["configuration"] for each in chains
    }:
        broken.append("other configurations were tried than those of the seed")
    broken += [f"{each['id']} is {each['state']}" for each in chains if each["state"] not in ("succeeded", "stopped")]
    stopped = {(each.arm, each.number) for each in decisions if not each.goes_on}
    of = {chain.id: (chain.arm, chain.number) for chain in plan(found.spec)}
    broken += [
        f"{each['id']} is {each['state']}, against the journal"
        for each in chains
        if (each["state"] == "stopped") != (of[each["id"]] in stopped)
    ]
    return broken + _doubled_runs(found)


def _doubled_runs(found: Found) -> list[str]:
    client = MlflowClient(found.stack.settings.mlflow_url)
    experiment = found.view["links"]["mlflow"].split("/experiments/")[1].split("/")[0]
    runs = client.search_runs([experiment], max_results=1_000)
    keys = Counter((run.data.tags["tet.chain"], run.data.tags.get("tet.stage")) for run in runs)
    lost = {each["id"] for each in found.view["chains"]} - {chain for chain, _ in keys}
    open_ = [run.info.run_name for run in runs if run.info.status not in ("FINISHED", "KILLED")]
    return [
        *(f"MLflow has {num} runs of {key}" for key, num in keys.items() if num > 1),
        *(f"MLflow has no run of {chain}" for chain in lost),
        *(f"MLflow has {name} neither finished nor stopped" for name in open_),
    ]


def differences(alone: Found, struck: Found) -> list[str]:
    """Return how a search that was struck differs from one that was left alone."""
    broken = []
    for one, other in zip(_timeless(alone), _timeless(struck), strict=False):
        if one != other:
            broken.append(f"struck, it decided {other}; left alone, {one}")
            break
    if len(alone.entries()) != len(struck.entries()):
        broken.append(
            f"{len(struck.entries())} entries in the journal, and {len(alone.entries())} of the one left alone"
        )
    if alone.best() != struck.best():
        broken.append(f"the best is {struck.best()}, and {alone.best()} of the one left alone")
    if _weights(alone) != _weights(struck):
        broken.append("weights differ from those of the one left alone")
    return broken


def _timeless(found: Found) -> list[Entry]:
    return [entry.model_copy(update={"at_ms": 0}) for entry in found.entries()]


def _weights(found: Found) -> dict[str, list[str]]:
    return {each["id"]: [stage["weights_sha256"] for stage in each["stages"]] for each in found.view["chains"]}
