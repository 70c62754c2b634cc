"""What the API says of an experiment, for tests of what people are shown."""

from typing import Any


def stage(
    index: int = 0, T: int | None = 4, state: str = "waiting", epoch: int = 0, epochs: int = 20, **more: Any
) -> Any:
    given: dict[str, Any] = {
        "kind": "train",
        "metrics": {},
        "weights_sha256": None,
        "mlflow_run_id": None,
        "attempts": 0,
        "failure": None,
    }
    return given | {"index": index, "T": T, "state": state, "epoch": epoch, "epochs": epochs} | more


def chain(*stages: Any, arm: str = "TIT", seed: int = 0, state: str = "running", reason: str = "") -> Any:
    given = {"id": f"{arm}-{seed}", "arm": arm, "seed": seed, "state": state, "reason": reason}
    return given | {"stages": list(stages)}


def progress(*chains: Any) -> Any:
    """What the API tells of all chains of an experiment."""
    stages = [stage for chain in chains for stage in chain["stages"]]
    found = {
        "stages_done": sum(s["state"] == "succeeded" for s in stages),
        "stages_total": len(stages),
        "chains_total": len(chains),
    }
    for key, end in (("epoch", "done"), ("epochs", "total")):
        found[f"epochs_{end}"] = sum(s[key] for s in stages if s["kind"] == "train")
        found[f"rows_{end}"] = sum(s[key] for s in stages if s["kind"] != "train")
        found[f"work_{end}"] = sum(s[key] * (s["T"] or 1) for s in stages)
    return found


def experiment(*chains: Any, state: str = "running", reason: str = "", name: str = "digits") -> Any:
    return {
        "id": "0198c2f0a5b7d1e2f3a4",
        "name": name,
        "state": state,
        "reason": reason,
        "failure": None,
        "created_at": "2026-01-02T03:04:05.678Z",
        "links": {"mlflow": None, "ray": None},
        "progress": progress(*chains),
        "chains": list(chains),
        "next_cursor": None,
    }
