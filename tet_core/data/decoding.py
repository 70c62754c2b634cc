"""One image file as a square of pixels.

The rules, which `tet_core.inventory.reader.READER` versions: only the first frame is read; the picture is
turned as its EXIF orientation says; transparent pixels show a white background; of 16-bit pixels, the upper 8 bits of
the true depth are kept; the shorter side is scaled to the canvas, and the middle is cut out.
"""

import errno
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tet_core.data.dataset import DataError

Image.init()  # loads the decoders, once and before threads ask for them
_WANTED = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP")
# The formats that are looked for in a file, whatever its ending, as far as this build of Pillow has them. Pillow knows
# more formats, and some of them start other programs (EPS).
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
# A picture with more pixels is an attack or a mistake: this many, at 4 bytes each, take 360 MB. Pillow would only warn.
MAX_PIXELS = 89_478_485
# Larger pictures are decoded one at a time, so that the threads together need little more memory than one of them.
_LARGE_PIXELS = 1 << 24
_one_large = threading.Lock()
# Largest ratio of the longer side to the shorter one. A longer picture is first cut around its middle: if a picture
# is a mere line of pixels, scaling it would fill the memory.
_MAX_ASPECT = 16
_WHITE = (255, 255, 255, 255)
DEPTH = 16  # bits of a pixel in files of 16 bits
_ORIENTATION = 0x0112  # number of the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Errors of the system that say nothing about the file.
OF_THE_STORAGE = frozenset(
    (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)
)

warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode(path: Path, side: int, channels: int, depth: int = DEPTH) -> Tensor:
    """Read an image, scale its shorter side to `side` and cut the middle out.

    Args:
        path: The file, of one of `FORMATS`.
        side: Side of the result, in pixels.
        channels: 3 for colour, 1 for grey.
        depth: How many bits the pixels of a grey 16-bit file use, 9 to 16.

    Returns:
        `[C, side, side]`, uint8.

    Raises:
        DataError: If the file is missing, damaged, truncated, not an image, implausibly large, or has pixels of a kind
            that is not read; the message names the file.
        OSError: If the storage fails.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_size(image)
            _check_depth(image, depth)
            image.draft("RGB" if channels == 3 else "L", (side, side))  # JPEG: decode no finer than needed
            with _one_large if image.width * image.height > _LARGE_PIXELS else nullcontext():
                scaled = _shorter_to(_of_mode(_upright(image), channels, depth), side)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make a decoder fail in any way
        if isinstance(error, OSError) and error.errno in OF_THE_STORAGE:
            raise
        raise DataError(f"{path}: damaged, truncated or no image ({error})") from error
    return _as_tensor(scaled)


def fitted(pixels: NDArray[np.uint8], side: int, channels: int) -> Tensor:
    """Return an image in memory as if it had been decoded from a file: scaled to `side`, and its middle cut out.

    Args:
        pixels: `[H, W, C]`; 1, 3 or 4 channels: grey, colour, or colour with transparency.
        side: As for `decode`.
        channels: As for `decode`.

    Returns:
        `[channels, side, side]`, uint8.
    """
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return _as_tensor(_shorter_to(_of_mode(image, channels, DEPTH), side))


def _as_tensor(image: Image.Image) -> Tensor:
    """Return a picture of mode L or RGB as `[C, H, W]`, uint8."""
    values = torch.from_numpy(np.array(image, dtype=np.uint8))
    return values.unsqueeze(0) if image.mode == "L" else values.permute(2, 0, 1).contiguous()


def fault_of(path: Path, side: int, channels: int, depth: int) -> str | None:
    """Return why a file cannot be decoded, or None."""
    try:
        decode(path, side, channels, depth)
    except DataError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def check_size(image: Image.Image) -> None:
    """Refuse a picture of too many pixels before any of them is decoded.

    Raises:
        DecompressionBombError: It has more than `MAX_PIXELS`.
    """
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{image.width}x{image.height} pixels, which exceeds limit of {MAX_PIXELS}")


def is_deep_colour(image: Image.Image) -> bool:
    """Return whether a picture that is not loaded yet has 16 bits for each colour; Pillow keeps the upper 8 of them."""
    return not image.mode.startswith("I") and any(";16" in str(tile[-1]) for tile in getattr(image, "tile", ()))


def _check_depth(image: Image.Image, depth: int) -> None:
    if depth != DEPTH and is_deep_colour(image):
        raise ValueError(f"it has 16 bits for each colour, of which the upper 8 are kept; depth is {depth}, not 16")


def _upright(image: Image.Image) -> Image.Image:
    """Return the loaded picture as a person would see it; Pillow itself turns a TIFF."""
    image.load()
    turn = orientation(image)
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> Image.Transpose | None:
    """Return the turn that a picture's EXIF asks for; None if there is none, or it cannot be read."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF is no reason to refuse the pixels
        return None


def _of_mode(image: Image.Image, channels: int, depth: int) -> Image.Image:
    """Return a picture in colour or grey, of 8 bits."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, which have no known range; convert it to 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _of_8_bits(image, depth)
    if is_transparent(image):
        solid = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", solid.size, _WHITE), solid)
    return image.convert("RGB" if channels == 3 else "L")


def is_transparent(image: Image.Image) -> bool:
    """Return whether some pixel of a loaded picture is transparent, fully or partly."""
    if not image.has_transparency_data:
        return False
    return int(np.asarray(image.convert("RGBA").getchannel("A")).min()) < 255


def _of_8_bits(image: Image.Image, depth: int) -> Image.Image:
    """Return a grey 16-bit picture in 8 bits, the upper 8 of its true depth; Pillow would clip the values."""
    values = np.asarray(image).astype(np.int64)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= 1 << depth:
        raise ValueError(
            f"its pixels go from {lowest} to {highest}; depth is {depth}, so they must be from 0 to {(1 << depth) - 1}"
        )
    grey = (values >> (depth - 8)).astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        grey[values == clear] = _WHITE[0]
    return Image.fromarray(grey)


def _shorter_to(image: Image.Image, side: int) -> Image.Image:
    image = _middle(image)
    width, height = image.size
    scale = side / min(width, height)
    width, height = (max(side, round(length * scale)) for length in (width, height))
    left, top = (width - side) // 2, (height - side) // 2
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + side, top + side))


def _middle(image: Image.Image) -> Image.Image:
    """Return the middle of a long picture; return a picture of an ordinary shape unchanged."""
    width, height = image.size
    longest = _MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = (max(0, (length - longest) // 2) for length in (width, height))
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def is_long(image: Image.Image) -> bool:
    """Return whether a picture is cut before it is scaled."""
    return max(image.size) > _MAX_ASPECT * min(image.size)
