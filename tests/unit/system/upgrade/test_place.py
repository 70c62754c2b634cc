"""One stack after the other finds its ports free."""

import socket
from pathlib import Path

from tests.ports import KERNEL_RANGE
from tests.system.upgrade.place import Place


def test_the_kernel_gives_its_ports_to_nobody(tmp_path: Path) -> None:
    ports = Place.make(tmp_path).ports.values()
    assert len(set(ports)) == 6
    assert max(ports) < int(KERNEL_RANGE.read_text().split()[0])


def test_nobody_listens_on_its_ports(tmp_path: Path) -> None:
    for port in Place.make(tmp_path).ports.values():
        with socket.socket() as each:
            each.bind(("127.0.0.1", port))
