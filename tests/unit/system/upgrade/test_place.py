"""Tests of `Place`, the folder and the ports of a stack: its ports are free."""

import socket
from pathlib import Path

from tests.ports import KERNEL_RANGE
from tests.system.upgrade.place import Place


def test_the_ports_of_a_place_are_outside_the_kernels_range(tmp_path: Path) -> None:
    ports = Place.make(tmp_path).ports.values()
    assert len(set(ports)) == 6
    assert max(ports) < int(KERNEL_RANGE.read_text().split()[0])


def test_the_ports_of_a_place_are_free(tmp_path: Path) -> None:
    for port in Place.make(tmp_path).ports.values():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
