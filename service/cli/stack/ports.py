"""Ports that components need: whether they are free, and which process holds them."""

import ipaddress
import socket
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Port:
    """A port that a component needs: its number and host, and the variable that changes it."""

    number: int
    variable: str
    host: str = "127.0.0.1"

    def is_free(self) -> bool:
        """Return whether a process could listen on the port now."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closing connections do not matter
            try:
                probe.bind((self.host, self.number))
                probe.listen(1)
            except OSError:
                return False
        return True

    def complaint(self) -> str:
        """Return a message that names the port, the process that holds it if known, and the setting to change."""
        holder = _holder(self.number)
        by = f" by {holder}" if holder else ""
        return f"port {self.number} is taken{by}: free it, or set {self.variable} to another port"


def open_addresses(number: int) -> list[str]:
    """Return the addresses, other than those of loopback, on which a process of this machine listens on the port.

    A firewall may still keep others away.
    """
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return []
    listening = [
        c.laddr.ip for c in connections if c.laddr and c.laddr.port == number and c.status == psutil.CONN_LISTEN
    ]
    addresses = {_address(text) for text in listening}
    named = {
        "every address" if address.is_unspecified else str(address) for address in addresses if not address.is_loopback
    }
    return sorted(named)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that a text names; IPv4 in the form of IPv6 (`::ffff:127.0.0.1`) becomes IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _holder(number: int) -> str | None:
    """Return the process that listens on the port, if this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    pids = {c.pid for c in connections if c.laddr and c.laddr.port == number and c.status == psutil.CONN_LISTEN}
    for pid in pids - {None}:
        try:
            command = " ".join(psutil.Process(pid).cmdline())
        except psutil.Error:
            continue
        return f"process {pid} ({command[:60]}{'…' if len(command) > 60 else ''})"
    return None
