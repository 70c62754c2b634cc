"""Tests of the build of the kernels, which only the first process on a machine does, and of runs without kernels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.compiler import needs_compiler

pytestmark = [pytest.mark.slow]  # each test starts processes that load torch and may compile

LOGGED = "import logging; logging.basicConfig(format='%(message)s')"
CHOSEN = f"{LOGGED}; from tet_core import kernels; print(kernels.in_use())"


def chosen(program: str = CHOSEN, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {key: value for key, value in os.environ.items() if key not in ("CC", "TET_KERNELS")} | environment
    return subprocess.run([sys.executable, "-c", program], env=given, capture_output=True, text=True, check=False)


def test_without_a_compiler_the_loop_runs_with_one_warning(tmp_path: Path) -> None:
    done = chosen(f"{CHOSEN}; kernels.in_use()", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "loop\n")
    assert done.stderr == (
        "neurons run in plain torch, which is slower: the kernels cannot be built here "
        "(there is no C compiler: cc, gcc, clang)\n"
    )


def test_required_kernels_that_cannot_be_built_are_an_error(tmp_path: Path) -> None:
    done = chosen(TET_KERNELS="compiled", CC="false")
    assert done.returncode == 1
    assert "NoCompilerError: false ended with status 1" in done.stderr
    done = chosen(TET_KERNELS="cuda")
    assert "TET_KERNELS is 'cuda'; it must be auto, compiled or loop" in done.stderr


def test_a_failed_compilation_is_reported(tmp_path: Path) -> None:
    compiler = tmp_path / "broken"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "no such option" >&2\nexit 3\n')
    compiler.chmod(0o755)
    done = chosen(CC=str(compiler), TET_KERNEL_CACHE=str(tmp_path / "cache"))
    assert done.stdout == "loop\n"
    assert f"({compiler} ended with status 3: no such option)" in done.stderr
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


@needs_compiler
def test_a_cache_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    nowhere = chosen(TET_KERNEL_CACHE="/proc/nothing")
    assert nowhere.stdout == "loop\n"
    assert "'/proc/nothing'; set TET_KERNEL_CACHE to another folder" in nowhere.stderr
    assert chosen(TET_KERNEL_CACHE=str(tmp_path)).stdout.startswith("compiled ")
    (build,) = tmp_path.glob("*.so")
    build.write_bytes(b"cut off")
    assert "set TET_KERNEL_CACHE to another folder" in chosen(TET_KERNEL_CACHE=str(tmp_path)).stderr


@needs_compiler
def test_processes_that_start_together_build_once(tmp_path: Path) -> None:
    compiler, calls, started = tmp_path / "counting", tmp_path / "calls", tmp_path / "started"
    # The build does not end before all processes have started.
    counting = f"""#!/bin/sh
[ "$1" = --version ] && exec cc --version
echo build >> {calls}
for _ in $(seq 600); do [ "$(wc -l < {started})" -eq 3 ] && break; sleep 0.1; done
exec cc "$@"
"""
    compiler.write_text(counting)
    compiler.chmod(0o755)
    environment = {**os.environ, "CC": str(compiler), "TET_KERNEL_CACHE": str(tmp_path / "cache")}
    program = f"{LOGGED}; from tet_core import kernels; print('I', file=open({str(started)!r}, 'a', buffering=1));"
    command = [sys.executable, "-c", f"{program} print(kernels.in_use())"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate()[0] for process in processes}
    assert len(outputs) == 1
    assert outputs.pop().startswith("compiled ")
    assert calls.read_text() == "build\n"


@needs_compiler
def test_neurons_without_a_kernel_warn_once() -> None:
    program = (
        f"{LOGGED}; import torch; from tet_core import LIF; layer, x = LIF(learnable_tau=True), torch.zeros(2, 3);"
        "layer(x); layer(x); LIF()(x.half()); LIF()(x)"
    )
    assert chosen(program, TET_KERNELS="auto").stderr.splitlines() == [
        "a layer of neurons runs in plain torch, which is slower: its decay factor or threshold is learnt",
        "a layer of neurons runs in plain torch, which is slower: there is no kernel for torch.float16",
    ]
    assert chosen(program, TET_KERNELS="loop").stderr == ""


def test_without_a_working_triton_the_loop_runs_on_gpus(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = chosen(f"{LOGGED}; from tet_core import kernels; print(kernels.in_use('cuda'), kernels.in_use('cuda'))")
    assert done.stdout == "loop loop\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("neurons run in plain torch, which is slower: the kernels cannot be built here (Triton does")
