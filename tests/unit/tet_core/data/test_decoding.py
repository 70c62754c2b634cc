"""Tests of decoding: any image file gives either the pixels that a person sees, or an error that names the file."""

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tet_core.data import DataError
from tet_core.data.decoding import decode

LEFT_BLACK = np.repeat(np.array([[0, 255]], np.uint8), 2, 0)  # 2x2: the left column is black


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[0, 255], [0, 255]]),
        (2, [[255, 0], [255, 0]]),
        (3, [[255, 0], [255, 0]]),
        (6, [[0, 0], [255, 255]]),
        (8, [[255, 255], [0, 0]]),
        (99, [[0, 255], [0, 255]]),
    ],
)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_picture_is_turned_as_its_exif_says(
    tmp_path: Path, orientation: int, expected: list[list[int]], ending: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a.{ending}"
    more: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
    Image.fromarray(LEFT_BLACK).convert("RGB").save(file, exif=exif, **more)
    assert decode(file, 2, 1).tolist() == [expected]


def test_damaged_exif_is_no_reason_to_refuse_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(LEFT_BLACK).save(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    assert decode(tmp_path / "a.png", 2, 1).tolist() == [LEFT_BLACK.tolist()]


def _figure(mode: str) -> Image.Image:
    """Return a picture whose left half is black and whose right half is transparent black."""
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 1, 2))
    return image.convert(mode)


@pytest.mark.parametrize(("mode", "ending"), [("RGBA", "png"), ("LA", "png"), ("PA", "tif"), ("RGBA", "webp")])
def test_transparent_pixels_show_a_white_background(tmp_path: Path, mode: str, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    more: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
    _figure("LA" if mode == "PA" else mode).save(file, **more)
    assert decode(file, 2, 1).tolist() == [[[0, 255], [0, 255]]]
    assert decode(file, 2, 3)[:, 0].tolist() == [[0, 255]] * 3


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16"])
def test_a_transparent_colour_shows_a_white_background(tmp_path: Path, mode: str) -> None:
    # The PNG chunk tRNS makes the colour of the right column transparent. Without tRNS, this column would be dark.
    values = np.array([[0, 7], [0, 7]], np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(values)
    if mode == "P":
        image = image.convert("P")
    colour: int | tuple[int, int, int] = (7, 7, 7) if mode == "RGB" else 7
    (image.convert("RGB") if mode == "RGB" else image).save(tmp_path / "a.png", transparency=colour)
    assert decode(tmp_path / "a.png", 2, 1).tolist() == [[[0, 255], [0, 255]]]


def test_half_transparent_grey_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("LA", (2, 2), (100, 51)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 2, 1)[0, 0, 0] == 224  # 100 * 0.2 + 255 * 0.8


def test_opaque_alpha_changes_no_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "b.png")
    assert torch.equal(decode(tmp_path / "a.png", 6, 3), decode(tmp_path / "b.png", 6, 3))


def test_16_bits_are_scaled_by_their_true_depth(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 4095], [16, 2048]], np.uint16)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 2, 1).tolist() == [[[0, 15], [0, 8]]]
    assert decode(tmp_path / "a.png", 2, 1, depth=12).tolist() == [[[0, 255], [1, 128]]]
    with pytest.raises(
        DataError, match=r"a\.png: .*pixels go from 0 to 4095; depth is 11, so they must be from 0 to 2047"
    ):
        decode(tmp_path / "a.png", 2, 1, depth=11)


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 0.5, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(DataError, match=r"f\.tif: .*floating-point numbers, which have no known range"):
        decode(tmp_path / "f.tif", 2, 1)
    Image.fromarray(np.array([[0, 70_000], [0, 0]], np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(DataError, match=r"i\.tif: .*pixels go from 0 to 70000"):
        decode(tmp_path / "i.tif", 2, 1)


def test_of_several_frames_the_first_is_read(tmp_path: Path) -> None:
    first, second = (Image.new("L", (4, 4), grey) for grey in (200, 10))
    for ending in ("gif", "tif", "png", "webp"):
        more: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
        first.save(tmp_path / f"a.{ending}", save_all=True, append_images=[second], **more)
        assert {*decode(tmp_path / f"a.{ending}", 2, 1).flatten().tolist()} == {200}


@pytest.mark.parametrize("ending", ["tif", "tiff", "gif", "jfif", "jpe", "ppm", "pgm", "tga", "pcx", "jp2", "dib"])
def test_files_with_every_accepted_ending_are_read(tmp_path: Path, ending: str) -> None:
    mode = "L" if ending == "pgm" else "RGB"
    format_ = {"jfif": "JPEG", "jpe": "JPEG", "pgm": "PPM"}.get(ending)
    Image.new(mode, (8, 8), 255 if mode == "L" else (255, 255, 255)).save(tmp_path / f"A.{ending.upper()}", format_)
    assert {*decode(tmp_path / f"A.{ending.upper()}", 4, 1).flatten().tolist()} == {255}


def test_an_eps_file_that_would_start_another_program_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: .*cannot identify"):
        decode(tmp_path / "a.png", 4, 3)


@pytest.mark.parametrize("size", [(1, 60_000), (8, 20_000), (60_000, 1)])
def test_a_very_long_picture_is_decoded_within_two_seconds(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 100).save(tmp_path / "a.png")
    start = time.process_time()
    assert {*decode(tmp_path / "a.png", 224, 3).flatten().tolist()} == {100}
    assert time.process_time() - start < 2, "it took 88 s when the whole line was scaled"


def test_of_a_long_picture_the_middle_is_kept(tmp_path: Path) -> None:
    values = np.zeros((2, 2000), np.uint8)
    values[:, 990:1010] = 255
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 2, 1).tolist() == [[[255, 255], [255, 255]]]


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _hostile() -> dict[str, bytes]:
    header = (b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0))
    huge = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    pixels = (b"IDAT", zlib.compress(bytes(20)))
    text = (b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))
    gif = io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF")
    return {
        "text.png": _png(header, text, pixels, (b"IEND", b"")),
        "huge.png": _png((b"IHDR", huge), pixels, (b"IEND", b"")),
        "large.png": _png((b"IHDR", struct.pack(">IIBBBBB", 10_000, 9_000, 8, 0, 0, 0, 0)), pixels, (b"IEND", b"")),
        "huge.gif": gif.getvalue()[:6] + struct.pack("<HH", 65_535, 65_535) + gif.getvalue()[10:],
        "huge.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        "huge.ppm": b"P6 99999 99999 255\n\0\0\0",
        "huge.tif": b"II*\0"
        + struct.pack("<IH", 8, 3)
        + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 99_999), (257, 99_999), (273, 8)))
        + bytes(4),
        "cut.gif": gif.getvalue()[:-8],
        "nothing.jpg": b"",
    }


@pytest.mark.parametrize("name", sorted(_hostile()))
def test_a_hostile_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(_hostile()[name])
    start = time.process_time()
    with pytest.raises(DataError, match=f"{name}: damaged, truncated or no image"):
        decode(tmp_path / name, 224, 3)
    assert time.process_time() - start < 2
