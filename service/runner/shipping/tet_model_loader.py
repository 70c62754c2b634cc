"""The loader of a logged network: a copy of this file lies in the network's folder `code`, and `MLmodel` names it.

`mlflow.pyfunc.load_model` puts `code` on Python's path and calls `_load_pyfunc`. The process needs neither the service
nor the training data. tet_core comes as one archive beside this file, because 110 files would take 110 uploads for each
network. The archive is unpacked, because the kernels are compiled from files.
"""

import atexit
import importlib
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PACKAGE = "tet_core"


class LoggedNetwork:
    """A logged network that classifies images.

    Attributes:
        network: The network, a `tet_core.TrainedNetwork`.
    """

    def __init__(self, file: str) -> None:
        """Load the network from its checkpoint."""
        self.network = importlib.import_module(PACKAGE).load(file)

    def predict(
        self, model_input: NDArray[Any] | list[str] | pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a row for each image.

        Args:
            model_input: Images as `tet_core.TrainedNetwork.classify` takes them, or a table whose first column has the
                paths of files.
            params: MLflow's parameters; there are none.

        Returns:
            `class` (its name), `label` (its number) and `probability` (the softmax of the outputs, averaged over time).
        """
        images = model_input.iloc[:, 0].tolist() if isinstance(model_input, pd.DataFrame) else model_input
        scores = self.network.scores(images)
        labels = scores.argmax(1)
        probabilities = scores.softmax(1)[np.arange(len(labels)), labels]
        return pd.DataFrame(
            {
                "class": [self.network.classes[label] for label in labels.tolist()],
                "label": labels.numpy(),
                "probability": probabilities.numpy(),
            }
        )


def _load_pyfunc(path: str) -> LoggedNetwork:
    """Return the network whose checkpoint is at `path`; MLflow calls this."""
    if PACKAGE not in sys.modules:
        _unpack(Path(__file__).with_name(f"{PACKAGE}.zip"))
    return LoggedNetwork(path)


def _unpack(archive: Path) -> None:
    """Unpack an archive into a folder that lasts as long as the process, and put the folder first on the path."""
    folder = tempfile.mkdtemp(prefix=f"{PACKAGE}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
