"""The environment in which training gives the same bits, and the context that sets it up.

Two runs of one config give equal bits where their records are equal.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from tet_core import kernels
from tet_core.config import TrainConfig

Record = dict[str, str | int | bool]

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""Of weights and images, by precision: bfloat16 is for what autocast computes in it, the weights stay float32."""


def device(config: TrainConfig) -> torch.device:
    """The device a config asks for.

    Raises:
        ValueError: If this machine or this build of torch has none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda'; this machine, or this build of torch, has no CUDA device: use 'cpu'")
    return torch.device(config.device)


def record(config: TrainConfig) -> Record:
    """What the bits of a stage depend on beyond its config."""
    where = device(config)
    return {
        "torch": str(torch.__version__),  # a subclass of str there, which a checkpoint may not hold
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "kernel": kernels.chosen(),
        "num_threads": config.num_threads,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "precision": config.precision,
        "deterministic": config.deterministic,
    }


def differences(saved: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two records or configs, a line each, with the field's path and both values."""
    lines: list[str] = []
    for key in sorted({*saved, *asked}):
        old, new = saved.get(key), asked.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: saved {old!r}, now {new!r}")
    return lines


@contextmanager
def applied(config: TrainConfig) -> Iterator[None]:
    """Within this context torch has the threads and the determinism a config asks for; then what it had before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        with _deterministic_cuda() if config.deterministic and config.device == "cuda" else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _deterministic_cuda() -> Iterator[None]:
    """Deterministic algorithms alone. On a CPU all that we use are deterministic anyway."""
    algorithms = torch.are_deterministic_algorithms_enabled()
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    # cuBLAS is deterministic only with a workspace of fixed size; torch refuses to run without it.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace or ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    # We never read memory that was not written, so it need not be filled at a cost.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        if workspace is None:
            del os.environ["CUBLAS_WORKSPACE_CONFIG"]


def autocast(config: TrainConfig) -> AbstractContextManager[Any]:
    """For `bfloat16`: convolutions and linear layers compute in it; otherwise nothing."""
    if config.precision != "bfloat16":
        return nullcontext()
    return torch.autocast(config.device, dtype=torch.bfloat16)
