"""Stages that train in a fraction of a second."""

from typing import Any

from tet_core.config import Crop, TrainConfig


def make_config(**fields: Any) -> TrainConfig:
    """Return a stage on digits with a tiny network; `fields` replace the defaults."""
    defaults: dict[str, Any] = {
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small", "width": 4},
        "T": 2,
        "epochs": 2,
        "loss": {"name": "tet"},
        "augmentation": (Crop(padding=1),),
    }
    return TrainConfig.model_validate(defaults | fields)
