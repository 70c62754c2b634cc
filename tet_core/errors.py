"""All errors of this package.

    ValueError
    ├── ConfigError                 a setting is not accepted, or not available on this machine
    ├── DataError                   a data set is missing, damaged, or does not match its card
    ├── CheckpointError             a checkpoint is damaged, has another format, or does not fit the stage
    │   └── EnvironmentMismatch     a checkpoint was made in an environment that gives different bits
    └── WorkersDifferError          the workers of a stage have different configs, environments, data or weights
    RuntimeError
    ├── WorkersApartError           a worker of a stage lost contact with the other workers
    └── NoCompilerError             the kernels cannot be compiled here
    FloatingPointError              (Python's own) a loss, a metric, a weight or an optimiser's state is not finite
    Exception
    └── EntryPointError             the code of an installed entry point failed: a fault of its author

A config itself (`TrainConfig(...)`) raises pydantic's `ValidationError`, which is a ValueError too. Any other
ValueError that leaves this package is a mistake in the calling code, or in this package.

This module loads no torch.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import SubprocessError

# torch's errors about workers and GPUs. They describe the machine, not the code that raised them.
_OF_THE_MACHINE = ("DistError", "AcceleratorError")
# The words of a RuntimeError when memory is short: from torch's CPU allocator, from C++, and from CUDA's libraries.
_NO_MEMORY = re.compile(r"can't allocate memory|bad_alloc|out of memory|_ALLOC_FAILED")
# The words of a RuntimeError from a GPU's driver or libraries, or about a process that may start no more threads. In
# small letters, "cuda" is the device of a tensor: such an error comes from the code.
_BROKEN_MACHINE = re.compile(
    r"CUDA|cuDNN|CUDNN|cuBLAS|CUBLAS|cuFFT|CUFFT|cuSOLVER|CUSOLVER|cuSPARSE|CUSPARSE|NCCL|NVML|NVRTC"
    r"|can't start new thread"
)


class ConfigError(ValueError):
    """A setting that is not accepted.

    Args:
        field: The setting's name, or its path in the config.
        value: The value that was refused.
        accepted: What is accepted, as the rest of the sentence: "it must be from 0 to 1".
    """

    def __init__(self, field: str, value: object, accepted: str) -> None:
        super().__init__(field, value, accepted)  # all three, because pickle calls the constructor with them
        self.field, self.value, self.accepted = field, value, accepted

    def __str__(self) -> str:
        return f"{self.field} is {self.value!r}; {self.accepted}"


class DataError(ValueError):
    """A data set that is missing, damaged, or does not match its card."""


class CheckpointError(ValueError):
    """A checkpoint that is damaged, has another format, or does not fit the stage that loads it."""


class EnvironmentMismatch(CheckpointError):  # noqa: N818 - it reads better without "Error"
    """A checkpoint made in an environment that gives different bits; another machine may be able to continue it."""


class WorkersDifferError(ValueError):
    """Workers of one stage whose configs, environments, data or weights differ."""


class WorkersApartError(RuntimeError):
    """Workers of one stage that lost contact: one of them died, failed, or cannot be reached."""


class NoCompilerError(RuntimeError):
    """A machine on which the kernels cannot be compiled."""


class EntryPointError(Exception):
    """A failure of the code behind an entry point; its `__cause__` is the author's own error."""


# These errors say whose fault they are, even if an entry point's code raises them.
_PASSED_ON = (
    ConfigError,
    DataError,
    CheckpointError,
    WorkersDifferError,
    WorkersApartError,
    NoCompilerError,
    EntryPointError,
    FloatingPointError,
    MemoryError,
    OSError,
)


@contextmanager
def errors_of_entry_point(name: str) -> Iterator[None]:
    """Raise an error of an entry point's code as an `EntryPointError`, to show that this package is not at fault.

    Errors that say whose fault they are pass unchanged: those of this module, FloatingPointError, OSError, a lack of
    memory, and torch's errors about devices and workers.

    Args:
        name: The entry point's name.

    Raises:
        EntryPointError: If the code within the context raises any other error. The message has the entry point, the
            class of the author's exception and its message.
    """
    try:
        yield
    except _PASSED_ON:
        raise
    except Exception as error:
        if is_out_of_memory(error) or is_torch_error(error, *_OF_THE_MACHINE):
            raise
        raise EntryPointError(f"entry_point {name!r} raised {type(error).__name__}: {error}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the machine or a GPU has too little memory."""
    if isinstance(error, MemoryError) or is_torch_error(error, "OutOfMemoryError"):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def is_of_machine(error: BaseException) -> bool:
    """Return whether an error describes its machine: the GPUs, their libraries or the compiler. Causes do not count."""
    # Triton runs the C compiler, whose failure is a SubprocessError.
    if isinstance(error, NoCompilerError | SubprocessError) or is_torch_error(error, *_OF_THE_MACHINE):
        return True
    return isinstance(error, RuntimeError) and _BROKEN_MACHINE.search(str(error)) is not None


def is_torch_error(error: BaseException, *names: str) -> bool:
    """Return whether an error is of one of these classes of torch; names are compared, so that torch is not loaded."""
    return any(cls.__name__ in names for cls in type(error).__mro__)
