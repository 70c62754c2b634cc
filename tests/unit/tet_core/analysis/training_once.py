"""A trained network for all tests of analyses."""

from functools import cache
from typing import Any

from tests.unit.tet_core.stages import make_config
from tet_core import fit


@cache
def trained() -> dict[str, Any]:
    """Return the checkpoint of a trained stage on digits at T = 2; do not write to it."""
    config = make_config(epochs=4, seed=5, batch_size=64, optimizer={"name": "adam", "lr": 0.01})
    return fit(config).checkpoint
