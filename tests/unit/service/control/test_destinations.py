"""Tests of the network addresses to which webhooks may go."""

import pytest

from service.control.destinations import is_listed, refusal
from service.web_address import web_address


@pytest.mark.parametrize("ip", ["93.184.216.34", "10.1.2.3", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd12::1"])
def test_a_host_permits_the_addresses_that_it_resolves_to(ip: str) -> None:
    assert refusal(ip, "hooks.example") is None


@pytest.mark.parametrize("host", ["hooks.example", "localhost", "169.254.169.254"])
@pytest.mark.parametrize(
    ("ip", "why"),
    [
        ("169.254.169.254", "a link-local address"),
        ("169.254.0.1", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("fe80::1%2", "a link-local address"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("0.0.0.0", "no address of a host"),
        ("0.1.2.3", "no address of a host"),
        ("::", "no address of a host"),
        ("255.255.255.255", "no address of a host"),
        ("224.0.0.1", "no address of a host"),
        ("ff02::1", "no address of a host"),
        ("::ffff:169.254.169.254", "IPv4 address written as IPv6"),
        ("::ffff:10.0.0.1", "IPv4 address written as IPv6"),
        ("::169.254.169.254", "a link-local address"),
        ("64:ff9b::a9fe:a9fe", "a link-local address"),
        ("64:ff9b:1::a9fe:a9fe", "a link-local address"),
        ("2002:a9fe:a9fe::1", "a link-local address"),
        ("0x7f.1", "not an IP address"),
    ],
)
def test_link_local_metadata_and_unusable_addresses_are_never_permitted(ip: str, why: str, host: str) -> None:
    assert why in (refusal(ip, host) or "")


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.9.9.9", "::1"])
def test_addresses_of_this_machine_are_permitted_only_to_hosts_whose_name_says_so(ip: str) -> None:
    assert refusal(ip, "hooks.example") == f"{ip} is an address of this machine"
    assert [refusal(ip, host) for host in ("localhost", "a.localhost", "127.0.0.1", "::1")] == [None] * 4


def test_a_name_does_not_reach_this_machine_by_an_ipv6_address_that_contains_ipv4() -> None:
    for ip in ("64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"):
        assert refusal(ip, "hooks.example") == f"{ip} is an address of this machine"


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("https://lab.example/x", True),
        ("https://LAB.example.:9/x", True),
        ("http://x:8443/", True),
        ("http://x/", False),
        ("https://x.lab.example/", False),
        ("http://[::1]/", True),
        ("http://[0::1]:80/", True),
    ],
)
def test_a_host_is_listed_with_any_port_or_with_one(url: str, listed: bool) -> None:
    assert is_listed(web_address(url), ("Lab.Example", "x:8443", "::1", "http://bad/")) is listed
