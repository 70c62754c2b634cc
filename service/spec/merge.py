"""The merge of settings over the levels of a spec: top level, arm, stage."""

from collections.abc import Mapping
from typing import Any


def merged(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings by key; a later level wins.

    Blocks (mappings) merge key by key, unless the later one changes the block's `name`: then it replaces the block,
    since the fields of one optimiser mean nothing to another. Lists are replaced whole. None means "not set".

    Example:
        >>> merged({"optimizer": {"name": "adam", "lr": 1e-3}}, {"optimizer": {"name": "adam", "weight_decay": 0.1}})
        {'optimizer': {'name': 'adam', 'lr': 0.001, 'weight_decay': 0.1}}
        >>> merged({"optimizer": {"name": "adam", "lr": 1e-3}}, {"optimizer": {"name": "sgd"}})
        {'optimizer': {'name': 'sgd'}}
    """
    result: dict[str, Any] = {}
    for level in levels:
        for key, value in level.items():
            if value is not None:
                result[key] = _joined(result.get(key), value)
    return result


def _joined(below: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if not isinstance(below, Mapping) or value.get("name", below.get("name")) != below.get("name"):
        return dict(value)
    return merged(below, value)
