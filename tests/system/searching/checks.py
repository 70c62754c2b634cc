"""The promises about a search whose drivers are killed."""

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
class SearchRun:
    """A search, and the entries of its journal at each kill of its driver."""

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
        """Return the entries of the journal."""
        return list(StudyJournal(self.folder.search).news())

    def remember(self) -> None:
        """Keep the present entries, which are compared with those at the end."""
        self.remembered.append(self.entries())

    def summary(self) -> str:
        """Return the end of the search as one line."""
        states = Counter(chain["state"] for chain in self.view["chains"])
        return f"{self.view['state']}, {', '.join(f'{num} {state}' for state, num in sorted(states.items()))}"

    def best(self) -> Json:
        """Return the configuration chosen for the first arm."""
        best: Json = self.stack.get(f"/experiments/{self.id}/comparison")["arms"][0]["choice"]
        return best


def broken_promises(search: SearchRun, planned: Sequence[Chain] = ()) -> list[str]:
    """Return a message for each broken promise; `planned` has the expected proposals, if they are known."""
    entries, chains = search.entries(), search.view["chains"]
    broken = [] if search.view["state"] == "succeeded" else [f"{search.summary()}: {search.view['reason']}"]
    for number, earlier in enumerate(search.remembered, 1):
        if entries[: len(earlier)] != earlier:
            broken.append(f"the journal at kill {number} is not the beginning of the final journal")
    decisions = [each for each in entries if isinstance(each, Decision)]
    places = Counter((each.arm, each.number, each.stage, each.epoch) for each in decisions if each.failure is None)
    broken += [f"{place} was decided {num} times" for place, num in places.items() if num > 1]
    proposals = Counter((each.arm, each.number) for each in entries if isinstance(each, Proposal))
    broken += [f"{key} was proposed {num} times" for key, num in proposals.items() if num > 1]
    values = Counter((each["arm"], each["seed"], *each["configuration"].items()) for each in chains)
    broken += [f"{value} was tried {num} times" for value, num in values.items() if num > 1]
    if planned and {each.id: dict(each.hyperparameters) for each in planned} != {
        each["id"]: each["configuration"] for each in chains
    }:
        broken.append("the configurations are not those of the seed")
    broken += [f"{each['id']} is {each['state']}" for each in chains if each["state"] not in ("succeeded", "stopped")]
    stopped = {(each.arm, each.number) for each in decisions if not each.goes_on}
    of = {chain.id: (chain.arm, chain.number) for chain in plan(search.spec)}
    broken += [
        f"{each['id']} is {each['state']}, and the journal says otherwise"
        for each in chains
        if (each["state"] == "stopped") != (of[each["id"]] in stopped)
    ]
    return broken + _doubled_runs(search)


def _doubled_runs(search: SearchRun) -> list[str]:
    client = MlflowClient(search.stack.settings.mlflow_url)
    experiment = search.view["links"]["mlflow"].split("/experiments/")[1].split("/")[0]
    runs = [run for run in client.search_runs([experiment], max_results=1_000) if "tet.chain" in run.data.tags]
    keys = Counter((run.data.tags["tet.chain"], run.data.tags.get("tet.stage")) for run in runs)
    lost = {each["id"] for each in search.view["chains"]} - {chain for chain, _ in keys}
    open_ = [run.info.run_name for run in runs if run.info.status not in ("FINISHED", "KILLED")]
    return [
        *(f"MLflow has {num} runs of {key}" for key, num in keys.items() if num > 1),
        *(f"MLflow has no run of {chain}" for chain in lost),
        *(f"the run {name} in MLflow is neither finished nor stopped" for name in open_),
    ]


def differences(undisturbed: SearchRun, killed: SearchRun) -> list[str]:
    """Return the differences between an undisturbed search and one whose drivers were killed."""
    broken = []
    for one, other in zip(_timeless(undisturbed), _timeless(killed), strict=False):
        if one != other:
            broken.append(f"undisturbed, the search decided {one}; with killed drivers, {other}")
            break
    if len(undisturbed.entries()) != len(killed.entries()):
        broken.append(
            f"{len(killed.entries())} entries in the journal, and {len(undisturbed.entries())} of the undisturbed one"
        )
    if undisturbed.best() != killed.best():
        broken.append(f"the best is {killed.best()}, and {undisturbed.best()} of the undisturbed one")
    if _weights(undisturbed) != _weights(killed):
        broken.append("weights differ from those of the undisturbed one")
    return broken


def _timeless(search: SearchRun) -> list[Entry]:
    return [entry.model_copy(update={"at_ms": 0}) for entry in search.entries()]


def _weights(search: SearchRun) -> dict[str, list[str]]:
    return {each["id"]: [stage["weights_sha256"] for stage in each["stages"]] for each in search.view["chains"]}
