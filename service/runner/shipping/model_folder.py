"""The folder of a logged network, from which `mlflow.pyfunc.load_model` makes a network that answers.

Nothing is inferred by loading the network, and torch is not imported: the requirements are given.
"""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from mlflow.models import Model

import tet_core
from service.runner.shipping import tet_model_loader

# What tet_core and the loader import.
_PACKAGES = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "scikit-learn", "torch", "typing_extensions")
# The time of every file in the archive: equal files give an equal archive.
_TIME = (1980, 1, 1, 0, 0, 0)


@contextmanager
def model_folder(file: Path, *, run_id: str, model_id: str) -> Iterator[Path]:
    """Provide the folder while the context lasts.

    Args:
        file: The network's checkpoint.
        run_id: The run that trained it.
        model_id: The id of MLflow's logged model.
    """
    from mlflow import pyfunc  # takes 0.2 s: a driver needs it only when a stage has ended

    with tempfile.TemporaryDirectory() as temporary:
        folder, archive = Path(temporary, "model"), Path(temporary, f"{tet_model_loader.PACKAGE}.zip")
        archive.write_bytes(_archive())
        pyfunc.save_model(
            folder,
            loader_module=tet_model_loader.__name__.rpartition(".")[2],
            data_path=str(file),
            code_paths=[tet_model_loader.__file__, str(archive)],
            pip_requirements=_requirements(),
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )
        yield folder


@cache
def _archive() -> bytes:
    """Return tet_core's files as a zip archive."""
    assert tet_core.__file__ is not None
    root = Path(tet_core.__file__).parent
    files = sorted(file for file in root.rglob("*") if file.is_file() and file.suffix != ".pyc")
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                name = file.relative_to(root.parent).as_posix()
                archive.writestr(zipfile.ZipInfo(name, _TIME), file.read_bytes(), zipfile.ZIP_DEFLATED)
        stream.seek(0)
        return stream.read()


@cache
def _requirements() -> list[str]:
    """Return the packages with their versions here, without the part that names a build (`+cpu`)."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in _PACKAGES]
