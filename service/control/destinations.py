"""The network addresses to which webhooks may go.

A host in `TET_WEBHOOK_HOSTS` permits the addresses to which its name resolves. The owner of the name chooses these
addresses. Therefore some are refused: loopback addresses (with the exceptions that `refusal` names), link-local
addresses, those from which a cloud serves the metadata of its machines, and those that belong to no single host.
"""

import ipaddress
from collections.abc import Sequence

from service.web_address import WebAddress, host_and_port

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NETWORKS = {
    # In most clouds, a machine gets its credentials from the link-local address 169.254.169.254.
    "a link-local address": ("169.254.0.0/16", "fe80::/10"),
    "an address of a cloud's metadata": (
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "fd00:ec2::/32",
        "fd20:ce::/32",
    ),
    "no address of a host": ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8"),
}
_NEVER = [(ipaddress.ip_network(text), why) for why, texts in _NETWORKS.items() for text in texts]
# IPv6 networks whose addresses hold an IPv4 address, each with the number of bits to the right of the IPv4 address.
_CARRIERS = [
    (ipaddress.IPv6Network("::/96"), 0),  # the old form ::10.1.2.3
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 of a site
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
]


def is_listed(address: WebAddress, hosts: Sequence[str]) -> bool:
    """Return whether an address's host is in the operator's list of hosts, each `host` or `host:port`."""
    for entry in hosts:
        try:
            host, port = host_and_port(entry)
        except ValueError:  # such an entry permits no host
            continue
        if host == address.host and port in (None, address.port):
            return True
    return False


def refusal(ip: str, host: str) -> str | None:
    """Return why a webhook to `host` must not connect to `ip`, one of its addresses; None if it may.

    A loopback address is permitted only if `host` is `localhost`, `*.localhost`, or itself a loopback address such as
    127.0.0.1.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return f"{ip} is not an IP address"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"{ip} is an IPv4 address written as IPv6"
        if address.scope_id is not None:
            return f"{ip} is a link-local address"
    for each in (address, *_carried(address)):
        if each.is_loopback and not _is_local(host):
            return f"{ip} is an address of this machine"
        for network, why in _NEVER:
            if each in network:
                return f"{ip} is {why}"
    return None


def _carried(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address holds; an empty list for ::1 and for an IPv4 address."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return []
    found: list[Address] = [
        ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF) for net, shift in _CARRIERS if address in net
    ]
    return found + ([address.teredo[1]] if address.teredo is not None else [])


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    if is_ip_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")
