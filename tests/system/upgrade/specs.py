"""The specs of the experiments: small, but with all kinds of stored data."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.system.upgrade.stack import Json

# The path of a spec in a checkout. Both versions run the file of the version before.
DIGITS = Path("examples/digits.yaml")

TET = {"name": "tet", "lamb": 0.05, "phi": 1.0}
MODEL = {"name": "vgg_small", "width": 6}
# Four chains, with an analysis among the stages. At most two chains run at once, so that two wait.
PAUSED: Json = {
    "name": "digits, to be paused",
    "dataset": {"name": "digits"},
    "model": MODEL,
    "batch_size": 32,  # an epoch takes about a second, so that the pause comes between two epochs
    "arms": [
        {"name": "SDT", "stages": [{"kind": "train", "T": 3, "epochs": 8, "loss": {"name": "sdt"}}]},
        {
            "name": "TIT",
            "stages": [
                {"kind": "train", "T": 2, "epochs": 6, "loss": TET},
                {"kind": "train", "T": 3, "epochs": 3, "loss": TET, "inherit": "all"},
                {"kind": "time_sweep", "T": [1, 2, 3]},
            ],
        },
    ],
    "seeds": [0, 1],
}
# The number of committed epochs, over all chains, at which the experiment is paused: early in the first two chains.
PAUSE_AFTER = 4

# The folder of pictures that is taken away when the first arm has ended and the second one runs.
PICTURES = "pictures"
FAILED: Json = {
    "name": "pictures, to be taken away",
    "dataset": {"name": "image_folder", "folder": PICTURES, "num_classes": 2, "input_size": 16},
    "model": MODEL,
    "batch_size": 16,
    "arms": [
        {"name": "short", "stages": [{"kind": "train", "T": 2, "epochs": 1, "loss": {"name": "sdt"}}]},
        {"name": "long", "stages": [{"kind": "train", "T": 4, "epochs": 12, "loss": TET}]},
    ],
    "seeds": [0, 1],
}
# The number of pictures of both classes together.
NUM_PICTURES = 120

# A search that learns, one configuration at a time, so that its results are the same each time. The first ten
# configurations are random. It is paused among them, and later learns from those before and after the pause.
SEARCHED: Json = {
    "name": "a search, to be paused",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 4},
    "validation": 0.2,
    "batch_size": 256,
    "arms": [{"name": "TET", "stages": [{"kind": "train", "T": 1, "epochs": 3, "loss": TET}]}],
    "search": {
        "method": "tpe",
        "num_configurations": 12,
        "max_concurrent": 1,
        "space": {"optimizer.lr": {"log_range": [1e-4, 0.3]}, "loss.lamb": {"choice": [0.0, 0.05, 0.2]}},
    },
    "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 3},
    "seeds": [0],
}
# The number of chains that have ended when the search is paused.
SEARCH_PAUSE_AFTER = 8


def put_pictures(data: Path) -> Path:
    """Make and return a folder with two classes of noise, one darker than the other. Its pixels are always the same."""
    draws = np.random.default_rng(0)
    for name, brightest in (("dark", 128), ("light", 256)):
        folder = data / PICTURES / name
        folder.mkdir(parents=True)
        for number in range(NUM_PICTURES // 2):
            pixels = draws.integers(0, brightest, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return data / PICTURES
