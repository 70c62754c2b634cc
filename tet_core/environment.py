"""The environment that the bits of a training depend on, and the context that applies its settings.

Two runs of one config give equal bits if the records of their environments are equal.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from tet_core import kernels
from tet_core.config import SettledPrecision, TrainConfig
from tet_core.errors import ConfigError
from tet_core.inventory.reader import IMAGE_READER, reader_of

EnvironmentRecord = dict[str, str | int | bool]

# The type that autocast computes in, by precision; the other precisions need no autocast.
_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def device(config: TrainConfig) -> torch.device:
    """Return the device that a config asks for.

    Raises:
        ConfigError: If the config asks for a CUDA device, and this machine or build of torch has none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", "cuda", "this machine, or this build of torch, has no CUDA device: use 'cpu'")
    return torch.device(config.device)


def fastest_precision(where: torch.device) -> SettledPrecision:
    """Return the narrowest precision that is fit for training and for which a device has instructions.

    This is bfloat16 if the device has instructions for it, else float16 on GPUs with instructions for float16 (compute
    capability 7 and above), else float32.
    """
    if where.type == "cuda":
        if not torch.cuda.is_available():
            return "float32"  # `device` raises the error about the missing CUDA device
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if torch.cuda.get_device_capability(where) >= (7, 0) else "float32"
    capabilities = torch.cpu.get_capabilities()
    return (
        "bfloat16" if any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16")) else "float32"
    )


def resolve_precision(config: TrainConfig) -> TrainConfig:
    """Return the config with `precision: auto` replaced by the precision it means on this machine."""
    if config.precision != "auto":
        return config
    return config.model_copy(update={"precision": fastest_precision(device(config))})


def dtype(config: TrainConfig) -> torch.dtype:
    """Return the type of weights and images; only autocast computes in the narrower precisions."""
    return torch.float64 if config.precision == "float64" else torch.float32


def record_of(config: TrainConfig) -> EnvironmentRecord:
    """Return the facts besides its config that the bits of a stage depend on."""
    where = device(config)
    return {
        "torch": str(torch.__version__),  # torch's own subclass of str, which a checkpoint must not hold
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "kernel": kernels.in_use(where.type),
        "num_threads": config.num_threads,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "precision": resolve_precision(config).precision,
        "deterministic": config.deterministic,
        **reader_of(config.dataset),
    }


def without_reader(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without the reader of image files, which `tet_core.data.check_reader` compares by the files."""
    return {name: value for name, value in record.items() if name != IMAGE_READER}


def differences(saved: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the differences of two records or configs: one line for each, with the field's path and both values."""
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
    """Set torch's threads and determinism as a config asks, within this context; restore them at its end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        with _deterministic_cuda() if config.deterministic and config.device == "cuda" else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _deterministic_cuda() -> Iterator[None]:
    """Allow only deterministic algorithms. On a CPU all algorithms in use are deterministic anyway."""
    algorithms = torch.are_deterministic_algorithms_enabled()
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    # cuBLAS is deterministic only with a workspace of fixed size; torch refuses to run without it.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace or ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    # We never read memory that was not written, so filling it would only cost time.
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
    """Return a context in which convolutions and linear layers compute in a config's `bfloat16` or `float16`."""
    narrow = _AUTOCAST.get(resolve_precision(config).precision)
    return nullcontext() if narrow is None else torch.autocast(config.device, dtype=narrow)


def scaler(config: TrainConfig) -> torch.amp.GradScaler:
    """Return a loss scaler, which keeps small gradients from vanishing in `float16`; otherwise it does nothing."""
    return torch.amp.GradScaler(config.device, enabled=resolve_precision(config).precision == "float16")
