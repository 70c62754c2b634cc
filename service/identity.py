"""The identity of a running API: its version, and the instance that it belongs to.

The API puts both into every answer. With them, clients distinguish the API from another program on its port. With the
instance, the local stack distinguishes its own API from that of another stack.

The name of an instance comes from a mark: random text in the file `instance` of the API's folder.
"""

import contextlib
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self

from tet_core.files import write_atomic, write_once

SERVICE = "tet"
VERSION_HEADER, INSTANCE_HEADER = "X-Tet-Version", "X-Tet-Instance"
# What either header may hold: text that is safe to print.
_SAFE = re.compile(r"[0-9A-Za-z.+_-]{1,64}")


@dataclass(frozen=True)
class Identity:
    """A version of the service, and an instance of it."""

    version: str
    instance: str

    @classmethod
    def of(cls, home: Path) -> Self:
        """Return the identity of an API of this version whose folder is `home`; make the folder's mark if it has none.

        A folder that cannot be written gets no mark, and is known by this machine's name.
        """
        with contextlib.suppress(OSError):
            _make_mark(_mark_file(home))
        return cls(own_version(), instance_of(home))

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self | None:
        """Return the identity that an answer states; None if it states none."""
        version, instance = headers.get(VERSION_HEADER, ""), headers.get(INSTANCE_HEADER, "")
        return cls(version, instance) if _SAFE.fullmatch(version) and _SAFE.fullmatch(instance) else None

    def headers(self) -> dict[str, str]:
        """Return the headers that state this identity."""
        return {VERSION_HEADER: self.version, INSTANCE_HEADER: self.instance}


def own_version() -> str:
    """Return the version of this program."""
    try:
        return metadata.version("tet")
    except metadata.PackageNotFoundError:  # run from a folder, without an installation
        return "unknown"


def instance_of(home: Path) -> str:
    """Return the name of the instance whose folder is `home`.

    It depends on the folder's mark and on its path: a copy of the folder is another instance.
    """
    try:
        mark = _mark_file(home).read_text().strip()
    except (OSError, ValueError):
        mark = ""
    seed = mark or socket.gethostname()
    return hashlib.sha256(f"{seed}\n{os.path.realpath(home)}".encode(errors="surrogateescape")).hexdigest()[:16]


def _mark_file(home: Path) -> Path:
    return home / "instance"


def _make_mark(file: Path) -> None:
    """Write a random mark, unless there is one. If two processes do so at once, one writes it, and both read it."""
    mark = secrets.token_hex(16).encode()
    if not write_once(file, mark) and file.stat().st_size == 0:  # the disk was full when the file was made
        write_atomic(file, mark)
