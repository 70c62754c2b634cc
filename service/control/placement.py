"""Placement: whether a trial fits on the nodes of the cluster. The API and the queue use this rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.spec.blocks import ACCELERATOR_PREFIX

Nodes = Sequence[Mapping[str, float]] | None


@dataclass(frozen=True)
class Placement:
    """Whether a trial fits on the nodes that the cluster has now; `detail` says it in words."""

    possible: bool | Literal["unknown"]
    detail: str


def placement(demand: Mapping[str, float], nodes: Nodes, num_workers: int = 1) -> Placement:
    """Compare what a trial needs with what each node offers; each worker must fit on one node.

    Args:
        demand: What each worker of the trial needs, by the names of Ray's resources.
        nodes: What each living node offers; None if Ray does not answer.
        num_workers: Number of workers of the trial.
    """
    words = _words(demand)
    if nodes is None:
        return Placement("unknown", f"Ray does not answer, so it is not known whether a node has {words}")
    capacities = [_capacity(demand, node) for node in nodes]
    fitting = sum(count > 0 for count in capacities)
    if num_workers > 1:
        words = f"{num_workers} workers, each of {words}"
        if fitting and sum(capacities) < num_workers:
            return Placement(False, f"a trial needs {words}; only {sum(capacities)} fit on {len(nodes)} node(s)")
    if fitting:
        return Placement(True, f"a trial of {words} fits on {fitting} of {len(nodes)} node(s)")
    most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
    largest = f"of {len(nodes)} node(s) the largest offer {most['CPU']:g} CPU(s), {most['GPU']:g} GPU(s)"
    kinds = sorted({_accelerator(kind) for node in nodes for kind in node if kind.startswith(ACCELERATOR_PREFIX)})
    accelerators = f"; accelerators: {', '.join(kinds) or 'none'}" if any(map(_is_accelerator, demand)) else ""
    return Placement(False, f"a trial needs {words}, and no node has them: {largest}{accelerators}")


def _capacity(demand: Mapping[str, float], node: Mapping[str, float]) -> int:
    """Return how many workers fit on a node on which nothing else runs."""
    # Add a little: ten shares of 0.1 must fit in 1 despite rounding.
    return int(min(node.get(kind, 0) / need + 1e-9 for kind, need in demand.items()))


def _words(demand: Mapping[str, float]) -> str:
    words = f"{demand.get('CPU', 0):g} CPU(s) and {demand.get('GPU', 0):g} GPU(s)"
    accelerators = [_accelerator(kind) for kind in demand if _is_accelerator(kind)]
    return words + (f" of an {accelerators[0]}" if accelerators else "")


def _is_accelerator(kind: str) -> bool:
    return kind.startswith(ACCELERATOR_PREFIX)


def _accelerator(kind: str) -> str:
    return kind.removeprefix(ACCELERATOR_PREFIX)
