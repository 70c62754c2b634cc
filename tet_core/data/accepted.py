"""The labels, pixels and statistics that a data set may have: safe types are cast, all else is refused.

Shapes: N samples, C channels, K classes, * any more axes.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from tet_core.errors import DataError
from tet_core.finite import not_finite

_SMALL_INTEGERS = (torch.int8, torch.int16, torch.int32)
# torch can hardly compute with these types, so they are cast to one that holds all their values.
_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64}
_LABELS = (torch.int64, torch.uint8)
_IMAGES = (torch.uint8, torch.bool, *_SMALL_INTEGERS, torch.int64)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_LARGEST = torch.finfo(torch.float32).max


def cast_labels(labels: Tensor) -> Tensor:
    """Return integer labels as int64 (uint8 stays, for a loss takes both); return any other labels unchanged."""
    return labels.to(torch.int64) if labels.dtype in (*_SMALL_INTEGERS, *_WIDER) else labels


def cast_images(images: Tensor) -> Tensor:
    """Return uint16 as int32 and uint32 as int64, with the same values; return any other images unchanged."""
    return images.to(_WIDER.get(images.dtype, images.dtype))


def check_tensor(value: object, what: str) -> Tensor:
    """Return a value after checking that it is a tensor with an axis of samples.

    Args:
        value: The value.
        what: Its name, for the message: "lab: the labels of the train set".

    Raises:
        DataError: If it is not a tensor, or has no axis.
    """
    if not isinstance(value, Tensor):
        kind = type(value)
        cure = "torch.from_numpy(...) makes one" if kind.__module__ == "numpy" else "torch.tensor(...) makes one"
        raise DataError(f"{what} are of the type {kind.__name__}; they must be a torch.Tensor: {cure}")
    if value.ndim == 0:
        raise DataError(f"{what} have no axis; the first one must be that of the samples")
    return value


def check_labels(labels: Tensor, num_classes: int, what: str) -> None:
    """Check that labels are one class for each sample.

    Args:
        labels: The result of `cast_labels`.
        num_classes: K.
        what: As for `check_tensor`.

    Raises:
        DataError: If they are not integers, have another axis (one-hot), or are outside 0 to K-1.
    """
    if labels.device.type != "cpu":
        raise DataError(f"{what} are on the device {labels.device}; they must be on the CPU: .cpu() moves them")
    if labels.ndim == 2:
        raise DataError(
            f"{what} have the shape {tuple(labels.shape)}, one-hot or with an axis too many; they must be [N], "
            f"integers from 0 to {num_classes - 1}: .argmax(1) or .squeeze(1) makes them"
        )
    if labels.dtype not in _LABELS:
        raise DataError(
            f"{what} are {_short(labels.dtype)}; they must be integers, from 0 to {num_classes - 1}: "
            "cast with .long() if each value is the number of a class"
        )
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= num_classes):
        raise DataError(
            f"{what} go from {int(labels.min())} to {int(labels.max())}: there are labels outside 0 to "
            f"{num_classes - 1} (num_classes is {num_classes})"
        )


def check_images(images: Tensor, what: str) -> None:
    """Check that pixels, or counts of events, are finite numbers.

    Args:
        images: `[N, *]`: the result of `cast_images`.
        what: As for `check_tensor`.

    Raises:
        DataError: If they are not real numbers, or one of them is not finite.
    """
    if images.dtype not in (*_IMAGES, *_FLOATS):
        raise DataError(
            f"{what} are {_short(images.dtype)}; they must be uint8 (or another integer, bool or floating point, with "
            "mean and std in the same units)"
        )
    if not_finite({"images": images}):
        sample = int((~images.flatten(1).isfinite().all(1)).nonzero()[0])
        raise DataError(
            f"{what} are not finite: sample {sample} of {len(images)} holds "
            f"{float(images[sample][~images[sample].isfinite()][0])}; remove or repair it"
        )


def checked_statistics(
    mean: Iterable[float], std: Iterable[float], channels: int, name: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation as numbers, after checking that they normalise to finite numbers.

    Args:
        mean: One number for each channel, or one for all channels.
        std: One number for each channel, or one for all channels; above 0.
        channels: C.
        name: The data set's name, for the message.

    Raises:
        DataError: If there are neither C numbers nor one, one is not finite, or a standard deviation is not above 0.
    """
    found = [_numbers(field, values, channels, name) for field, values in (("mean", mean), ("std", std))]
    for value in found[1]:
        # As bad as 0: a number that float32 rounds to 0, or by which a white pixel exceeds float32's largest number.
        if not value > 0 or 255 / value > _LARGEST:
            raise DataError(
                f"{name}: std is {found[1]}; each must be above 0 (use 1 for a channel that is constant): samples are "
                "divided by it"
            )
    return found[0], found[1]


def checked_classes(classes: Iterable[str] | None, num_classes: int, name: str) -> tuple[str, ...] | None:
    """Return the names of the classes after checking that they are K different texts; None if there are none.

    Args:
        classes: The names, by label.
        num_classes: K.
        name: The data set's name, for the message.

    Raises:
        DataError: If they are something else.
    """
    if classes is None:
        return None
    found = () if isinstance(classes, str) else tuple(classes)
    if len(found) != num_classes or len(set(found)) != num_classes or not all(isinstance(each, str) for each in found):
        raise DataError(f"{name}: classes is {classes!r}; it must be {num_classes} different names, by label, or None")
    return found


def _numbers(field: str, values: Iterable[float], channels: int, name: str) -> tuple[float, ...]:
    accepted = f"it must be a finite number for each of {channels} channels, in the units of the samples"
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise DataError(f"{name}: {field} is {values!r}; {accepted}") from None
    if len(found) not in (1, channels) or not all(math.isfinite(v) and abs(v) <= _LARGEST for v in found):
        raise DataError(f"{name}: {field} is {found}; {accepted}")
    return found


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
