"""The folder of a logged network, from which `mlflow.pyfunc.load_model` loads a network that classifies images.

It is what `mlflow.pyfunc.save_model` would write for `loader_module` and `code_paths`. Writing it here takes
milliseconds: the network is not loaded to find its requirements, and neither torch nor mlflow.pyfunc is imported.

    MLmodel             names the loader, the network's file and the folder `code`
    model.pt            the checkpoint
    requirements.txt    the packages with their versions
    python_env.yaml     Python's version
    code/               tet_model_loader.py and tet_core.zip

Source: https://mlflow.org/docs/latest/ml/model/#model-format
"""

import platform
import shutil
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
from service.storage import MODEL

# What tet_core and the loader import.
_PACKAGES = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "scikit-learn", "torch", "typing_extensions")
# The time of every file in the archive: equal files give an equal archive.
_TIME = (1980, 1, 1, 0, 0, 0)
_PYTHON_ENV = "python: {python}\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n"


@contextmanager
def model_folder(file: Path, *, run_id: str, model_id: str) -> Iterator[Path]:
    """Provide the folder while the context lasts.

    Args:
        file: The network's checkpoint.
        run_id: The run that trained it.
        model_id: The id of MLflow's logged model.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / MODEL).symlink_to(file.absolute())
        (folder / "code").mkdir()
        shutil.copy(tet_model_loader.__file__, folder / "code")
        (folder / "code" / f"{tet_model_loader.PACKAGE}.zip").write_bytes(_archive())
        (folder / "requirements.txt").write_text("\n".join(_requirements()) + "\n")
        (folder / "python_env.yaml").write_text(_PYTHON_ENV.format(python=platform.python_version()))
        model = Model(run_id=run_id, model_id=model_id, model_size_bytes=file.stat().st_size)
        model.add_flavor(
            "python_function",
            loader_module=tet_model_loader.__name__.rpartition(".")[2],
            data=MODEL,
            code="code",
            env={"virtualenv": "python_env.yaml"},
            python_version=platform.python_version(),
        )
        model.save(str(folder / "MLmodel"))
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
    """Return the packages with their installed versions, without the part that names a build (`+cpu`)."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in _PACKAGES]
