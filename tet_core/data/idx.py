"""Reader for gzipped IDX files, the format of MNIST and of data sets like it.

Layout, big-endian: two zero bytes, one byte of type (8: uint8), one byte with the number of axes, a uint32 for each
axis, then the values in C order.

Source: LeCun, Cortes, Burges: "The MNIST database of handwritten digits", section "File formats".
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from tet_core.data.dataset import DataError

_UINT8 = 8
# The largest file of MNIST's kind has 47 MB. A small gzip file can unpack to a thousand times its size.
MAX_BYTES = 1 << 27


def read_idx(path: Path) -> Tensor:
    """Read a gzipped IDX file of bytes.

    Args:
        path: The file.

    Returns:
        A uint8 tensor of the file's shape.

    Raises:
        DataError: If the file is missing, damaged, truncated, too long, or not IDX of uint8; the message names it.
    """
    content = _unzip(path)
    if len(content) < 4 or content[:3] != bytes((0, 0, _UINT8)):
        raise DataError(f"{path}: not an IDX file of bytes: it starts with {content[:4].hex()}, expected 000008NN")
    num_axes = content[3]
    start = 4 + 4 * num_axes
    if len(content) < start:
        raise DataError(f"{path}: truncated within its header ({len(content)} bytes)")
    shape = struct.unpack(f">{num_axes}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(f"{path}: holds {len(content) - start} values, expected {math.prod(shape)} for shape {shape}")
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).reshape(shape)


def _unzip(path: Path) -> bytearray:
    try:
        with gzip.open(path) as stream:
            content = bytearray(stream.read(MAX_BYTES + 1))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged or truncated ({error}); delete it and get it again") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: unpacks to more than {MAX_BYTES:,} bytes, which no data set of this kind has")
    return content
