"""Readers of plain data that may be malformed: they skip data that is missing or has another type."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tet_core.config import DatasetConfig

Path = tuple[str | int, ...]
_DATASET: TypeAdapter[DatasetConfig] = TypeAdapter(DatasetConfig)


def levels_of(raw: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every level that may hold settings: the spec, its arms, their stages."""
    yield (), raw
    for number, arm in items(raw, "arms"):
        if isinstance(arm, dict):
            yield ("arms", number), arm
            for index, stage in items(arm, "stages"):
                if isinstance(stage, dict):
                    yield ("arms", number, "stages", index), stage


def items(raw: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    """Return the elements of the list at a key, each with its number from 0."""
    value = raw.get(key)
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def num_seeds_of(raw: dict[str, Any]) -> int:
    """Return the number of seeds, as a list or as the largest number of a range; 0 if there is neither."""
    seeds = raw.get("seeds")
    at_most = seeds.get("at_most") if isinstance(seeds, dict) else len(items(raw, "seeds"))
    return at_most if type(at_most) is int else 0


def name_of(block: object) -> str | None:
    """Return the name of a block, or None."""
    name = block.get("name") if isinstance(block, dict) else None
    return name if isinstance(name, str) else None


def dataset_of(raw: dict[str, Any]) -> DatasetConfig | None:
    """Return the data set, or None if it is not valid."""
    try:
        return _DATASET.validate_python(raw.get("dataset"))
    except ValidationError:
        return None
