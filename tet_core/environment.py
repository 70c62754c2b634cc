"""The environment in which training gives the same bits, and the context that sets it up.

Two runs of one config give equal bits where their records are equal.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from tet_core import kernels
from tet_core.config import SettledPrecision, TrainConfig
from tet_core.errors import ConfigError

EnvironmentRecord = dict[str, str | int | bool]

# What autocast computes in, by precision; the others need none.
_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def device(config: TrainConfig) -> torch.device:
    """The device a config asks for.

    Raises:
        ConfigError: If this machine or this build of torch has none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", "cuda", "this machine, or this build of torch, has no CUDA device: use 'cpu'")
    return torch.device(config.device)


def fastest_precision(where: torch.device) -> SettledPrecision:
    """The narrowest precision, fit to train in, that a device's own instructions compute in.

    bfloat16 where there are such; on GPUs that have them for float16 alone (compute capability 7), that; else float32.
    """
    if where.type == "cuda":
        if not torch.cuda.is_available():
            return "float32"  # whoever trains there is told that there is none
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if torch.cuda.get_device_capability(where) >= (7, 0) else "float32"
    has = torch.cpu.get_capabilities()
    return "bfloat16" if any(has.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16")) else "float32"


def resolve_precision(config: TrainConfig) -> TrainConfig:
    """The same config with what `auto` stands for on this machine."""
    if config.precision != "auto":
        return config
    return config.model_copy(update={"precision": fastest_precision(device(config))})


def dtype(config: TrainConfig) -> torch.dtype:
    """Of weights and images; the narrow precisions are for what autocast computes in them alone."""
    return torch.float64 if config.precision == "float64" else torch.float32


def record_of(config: TrainConfig) -> EnvironmentRecord:
    """What the bits of a stage depend on beyond its config."""
    where = device(config)
    return {
        "torch": str(torch.__version__),  # a subclass of str there, which a checkpoint may not hold
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "kernel": kernels.in_use(where.type),
        "num_threads": config.num_threads,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "precision": resolve_precision(config).precision,
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
    """For `bfloat16` and `float16`: convolutions and linear layers compute in it; otherwise nothing."""
    narrow = _AUTOCAST.get(resolve_precision(config).precision)
    return nullcontext() if narrow is None else torch.autocast(config.device, dtype=narrow)


def scaler(config: TrainConfig) -> torch.amp.GradScaler:
    """For `float16`: scales losses, so that small gradients do not vanish; otherwise it does nothing."""
    return torch.amp.GradScaler(config.device, enabled=resolve_precision(config).precision == "float16")
