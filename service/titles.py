"""The names of chains and stages for people: the same in MLflow, in Ray's dashboard, in logs and in `tet`."""

from collections.abc import Mapping
from typing import Any

from service.search.wording import in_few_digits

# The longest text of a search's values in a name, in characters: the names are in every log line.
MAX_VALUES_LENGTH = 200


def chain_title(arm: str, seed: int, values: Mapping[str, Any]) -> str:
    """Return the name of a chain: "TIT · seed 0", with the values that a search has proposed for it.

    A long text of values is truncated.
    """
    text = " ".join(in_few_digits(values))
    shown = text if len(text) <= MAX_VALUES_LENGTH else text[: MAX_VALUES_LENGTH - 1] + "…"
    return " · ".join([arm, f"seed {seed}", *([shown] if shown else [])])


def stage_title(chain: str, index: int, num_stages: int, kind: str, T: int | None) -> str:
    """Return the name of a stage: "TIT · seed 0 · stage 2 of 2 · T=4", or the kind of an analysis at the end.

    Args:
        chain: The title of its chain.
        index: Its index in the chain, from 0.
        num_stages: The number of the chain's stages.
        kind: "train", or the kind of the analysis.
        T: The number of time steps of a training.
    """
    return f"{chain} · stage {index + 1} of {num_stages} · {f'T={T}' if kind == 'train' else kind}"
