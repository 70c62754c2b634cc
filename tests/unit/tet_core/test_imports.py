"""Tests that the package loads modules only when they are needed."""

import subprocess
import sys
from pathlib import Path

import pytest

import tet_core


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_or_its_config_loads_no_torch() -> None:
    assert run("import sys, tet_core, tet_core.config; print('torch' in sys.modules)") == "False"


@pytest.mark.slow
def test_training_loads_neither_torchs_compiler_nor_scikit_learn() -> None:
    """Each takes a second of every trial's process; torch's optimisers and the digits data set could load them."""
    code = """
import sys
from pathlib import Path

import pytest
from tet_core import fit
from tests.unit.tet_core.stages import make_config
fit(make_config(epochs=1))
print({"torch._dynamo", "sklearn"} & sys.modules.keys())
"""
    assert run(code) == "set()"


@pytest.mark.slow
def test_fit_and_evaluate_are_functions_after_their_modules_were_imported() -> None:
    code = "import tet_core.train.fitting, tet_core.measure.evaluation; from tet_core import fit, evaluate; "
    assert run(code + "print(callable(fit), callable(evaluate))") == "True True"


def test_no_module_has_the_name_of_an_export() -> None:
    modules = {path.stem for path in Path(tet_core.__file__).parent.iterdir()}
    assert not modules & set(tet_core.__all__)


def test_every_export_is_there() -> None:
    for name in tet_core.__all__:
        assert getattr(tet_core, name).__name__ == name
