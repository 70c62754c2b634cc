"""Downloads that are checked by their checksum, resumed after an interruption, and put in place in one step."""

import hashlib
import os
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tet_core.data.dataset import DataError
from tet_core.files import only_one

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0  # seconds without data on the connection, not for the whole download

_SUM_NAMES = {"sha256": "SHA-256", "md5": "MD5"}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: its name, its size and the checksum (hex) of its bytes, by the publisher's algorithm."""

    name: str
    num_bytes: int
    digest: str
    algorithm: Literal["sha256", "md5"] = "sha256"


def download(base_url: str, file: RemoteFile, folder: Path, progress: Progress | None = None) -> Path:
    """Download a file into a folder, unless it is there already.

    Bytes go to `<name>.part` first, and a later call continues where that file ends. The file appears under its own
    name only when it is whole and its checksum is right. Several processes may call this for one folder at once.

    Args:
        base_url: URL of the file's folder, with a slash at the end.
        file: The file to download.
        folder: The folder for the file; created if missing.
        progress: Called with (name, bytes so far, bytes in all); a line on stderr by default.

    Returns:
        The file's path.

    Raises:
        DataError: If the download fails, or its bytes are wrong (then they are deleted).
    """
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(folder / f".{file.name}.lock"):
            if not target.exists():
                _complete(base_url + file.name, file, target.with_name(file.name + ".part"), progress or _to_stderr)
                os.replace(target.with_name(file.name + ".part"), target)
    except OSError as error:
        raise DataError(f"{base_url}{file.name}: download to {folder} failed: {error}") from error
    return target


def _complete(url: str, file: RemoteFile, part: Path, progress: Progress) -> None:
    """Fetch the missing bytes of `part`, and check the whole file."""
    size_so_far = part.stat().st_size if part.exists() else 0
    if size_so_far < file.num_bytes:
        _fetch(url, file, part, size_so_far, progress)
    with part.open("rb") as stream:
        digest = hashlib.file_digest(stream, file.algorithm).hexdigest()
    if digest != file.digest:
        size = part.stat().st_size
        if size < file.num_bytes:
            raise ConnectionError(
                f"the connection ended after {size} of {file.num_bytes} bytes; try again to continue from there"
            )
        part.unlink()
        raise DataError(
            f"{url}: got {size} bytes with {_SUM_NAMES[file.algorithm]} {digest}; expected {file.num_bytes} with "
            f"{file.digest}; deleted"
        )


def _fetch(url: str, file: RemoteFile, part: Path, size_so_far: int, progress: Progress) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={size_so_far}-"} if size_so_far else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        resumed = response.status == 206  # a server without ranges answers 200 and sends everything
        done = size_so_far if resumed else 0
        with part.open("ab" if resumed else "wb") as out:
            while chunk := response.read(_CHUNK_BYTES):
                out.write(chunk)
                done += len(chunk)
                progress(file.name, done, file.num_bytes)
                if done > file.num_bytes:
                    return  # the file is too long, so the checksum will be wrong
            out.flush()
            os.fsync(out.fileno())


def _to_stderr(name: str, done: int, total: int) -> None:
    print(f"{name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB", file=sys.stderr, flush=True)
