"""The version of the reader of image files, and the endings of the files that the readers take."""

from tet_core.config import DatasetConfig, ImageFolder, ImageNet, Saccades

# Increase this version when the same file gives other pixels, or when other files are taken. Reader 1 had no version.
READER = 2
# The key of the reader's version in an environment's record, if the data set has image files.
IMAGE_READER = "image_reader"

# The endings that reader 1 took.
FIRST_IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))
# Still images that Pillow decodes by itself; EPS and PDF would start other programs.
IMAGE_SUFFIXES = FIRST_IMAGE_SUFFIXES | {
    *(".jpe", ".jfif", ".mpo", ".jp2", ".j2k", ".jpx"),
    *(".apng", ".gif", ".tif", ".tiff", ".avif", ".dib", ".pcx", ".qoi", ".tga", ".sgi"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
}
RECORDING_SUFFIXES = frozenset((".aedat",))


def of_images(config: DatasetConfig) -> ImageFolder | ImageNet | None:
    """Return the part of a config that names image files, or None; for simulated events, look at their still images."""
    if isinstance(config, Saccades):
        return of_images(config.base)
    return config if isinstance(config, ImageFolder | ImageNet) else None


def reader_of(config: DatasetConfig) -> dict[str, int]:
    """Return the entry of the environment's record that names the reader; empty if no image file is read."""
    return {} if of_images(config) is None else {IMAGE_READER: READER}
