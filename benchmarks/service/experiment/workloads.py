"""The experiments that are measured, with the largest ratio of the service's time to that of the bare pool."""

from dataclasses import dataclass
from typing import Any

from service.documents.yaml import load_yaml
from tests.root import ROOT

TET = {"name": "tet", "lamb": 0.05, "phi": 1.0}
RESOURCES = {"cpus_per_trial": 1, "gpus_per_trial": 0}


@dataclass(frozen=True)
class Workload:
    """An experiment to measure.

    Attributes:
        name: The part's name on the command line.
        spec: The posted spec.
        num_slots: How many trials run at once.
        limit: The largest ratio to the bare pool.
    """

    name: str
    spec: dict[str, Any]
    num_slots: int
    limit: float


def _digits() -> dict[str, Any]:
    spec: Any = load_yaml((ROOT / "examples" / "digits.yaml").read_text(encoding="utf-8"))
    return dict(spec)


def _of_digits(name: str, width: int, arms: list[dict[str, Any]], num_seeds: int, **keys: Any) -> dict[str, Any]:
    return {
        "name": name,
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small", "width": width},
        "arms": arms,
        "baseline": arms[0]["name"],
        "seeds": [*range(num_seeds)],
        "resources": RESOURCES,
        **keys,
    }


def _train(T: int, epochs: int, loss: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"kind": "train", "T": T, "epochs": epochs, "loss": loss or {"name": "sdt"}}


# An experiment that is run first, so that the stack is warm.
WARMING = _of_digits("warming up", 4, [{"name": "SDT", "stages": [_train(1, 1)]}], 2)
SEARCH = {"method": "random", "num_configurations": 40, "space": {"optimizer.lr": {"log_range": [1e-4, 1e-1]}}}
WORKLOADS = (
    Workload("digits", _digits(), 2, 1.15),
    Workload(
        "search",
        _of_digits("a search of 40 short trials", 8, [{"name": "TET", "stages": [_train(2, 4, TET)]}], 1)
        | {"search": SEARCH, "validation": 0.1},
        2,
        1.20,
    ),
    Workload(
        "long",
        _of_digits(
            "12 stages of 20 s",
            16,
            [{"name": "SDT", "stages": [_train(4, 50)]}, {"name": "TET", "stages": [_train(4, 50, TET)]}],
            6,
        ),
        2,
        1.08,
    ),
    Workload(
        "short",
        _of_digits("200 stages of 2 s", 4, [{"name": "TIT", "stages": [_train(1, 1, TET), _train(2, 1, TET)]}], 100),
        8,
        1.30,
    ),
)
