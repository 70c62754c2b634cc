"""Does a trial fit on a node of the cluster?"""

from collections.abc import Mapping, Sequence

from service.api.experiments.schemas import Placement
from service.spec import Resources


def placement(wanted: Resources, nodes: Sequence[Mapping[str, float]] | None) -> Placement:
    """Compares what a trial wants with what each node offers; a trial lies on one node.

    Args:
        wanted: The spec's resources.
        nodes: What each living node offers, `CPU` and `GPU`; None where the cluster cannot be asked.
    """
    needs = {"CPU": wanted.cpus_per_trial, "GPU": wanted.gpus_per_trial}
    words = f"{needs['CPU']} CPU(s) and {needs['GPU']:g} GPU(s)"
    if nodes is None:
        return Placement(possible="unknown", detail=f"Ray does not answer, so nobody knows where {words} are free")
    fitting = sum(all(node.get(kind, 0) >= need for kind, need in needs.items()) for node in nodes)
    if fitting:
        return Placement(possible=True, detail=f"a trial of {words} fits on {fitting} of {len(nodes)} node(s)")
    most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in needs}
    detail = (
        f"no node has {words}: of {len(nodes)} node(s) the largest offer {most['CPU']:g} CPU(s), {most['GPU']:g} GPU(s)"
    )
    return Placement(possible=False, detail=detail)
