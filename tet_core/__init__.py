"""Training spiking neural networks with SDT, TET and TIT.

`import tet_core` loads no torch: every export below is loaded when it is first used.

Example:
    >>> from tet_core import TrainConfig, fit
    >>> config = TrainConfig(dataset={"name": "digits"}, model={"name": "vgg_small"}, T=4, epochs=20,
    ...                      loss={"name": "tet"})
    >>> fit(config).metrics["test/accuracy"]  # doctest: +SKIP
    0.97

Source: Deng, Li, Zhang, Gu: "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting",
ICLR 2022 (arXiv:2202.11946).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tet_core.analysis import analyse as analyse
    from tet_core.analysis import write_results as write_results
    from tet_core.config import TrainConfig as TrainConfig
    from tet_core.data import Dataset as Dataset
    from tet_core.data import load_dataset as load_dataset
    from tet_core.losses import sdt_loss as sdt_loss
    from tet_core.losses import tet_loss as tet_loss
    from tet_core.measure.evaluation import evaluate as evaluate
    from tet_core.measure.operations import count_operations as count_operations
    from tet_core.models import build_model as build_model
    from tet_core.neuron import LIF as LIF
    from tet_core.neuron import lif_step as lif_step
    from tet_core.train.epochs import Epoch as Epoch
    from tet_core.train.epochs import train_epochs as train_epochs
    from tet_core.train.fitting import FitResult as FitResult
    from tet_core.train.fitting import fit as fit
    from tet_core.trained import TrainedNetwork as TrainedNetwork
    from tet_core.trained import load as load

# Where each export lives. No module may have the name of an export: importing the module would bind that name to it
# here, and `from tet_core import fit` would give a module.
_EXPORTS = {
    "analyse": "tet_core.analysis",
    "write_results": "tet_core.analysis",
    "TrainConfig": "tet_core.config",
    "Dataset": "tet_core.data",
    "load_dataset": "tet_core.data",
    "evaluate": "tet_core.measure.evaluation",
    "FitResult": "tet_core.train.fitting",
    "fit": "tet_core.train.fitting",
    "sdt_loss": "tet_core.losses",
    "tet_loss": "tet_core.losses",
    "build_model": "tet_core.models",
    "LIF": "tet_core.neuron",
    "lif_step": "tet_core.neuron",
    "count_operations": "tet_core.measure.operations",
    "Epoch": "tet_core.train.epochs",
    "train_epochs": "tet_core.train.epochs",
    "TrainedNetwork": "tet_core.trained",
    "load": "tet_core.trained",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tet_core' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
