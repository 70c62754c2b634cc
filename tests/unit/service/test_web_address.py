"""Tests of the one strict rule by which web addresses from users are read."""

import pytest

from service.web_address import host_and_port, web_address


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://lab.example/hook", "lab.example", 443, "/hook", "lab.example"),
        ("HTTP://Lab.Example.:8080?a=b", "lab.example", 8080, "/?a=b", "lab.example:8080"),
        ("http://[0:0::1]:80/a?b=/c@d:e", "::1", 80, "/a?b=/c@d:e", "[::1]"),
        ("http://10.1.2.3:", "10.1.2.3", 80, "/", "10.1.2.3"),
        (
            "https://bücher.example/ü?q=ä%20b",
            "xn--bcher-kva.example",
            443,
            "/%C3%BC?q=%C3%A4%20b",
            "xn--bcher-kva.example",
        ),
        ("http://my_host-1/%zz", "my_host-1", 80, "/%zz", "my_host-1"),
    ],
)
def test_an_address_has_one_canonical_form(url: str, host: str, port: int, target: str, authority: str) -> None:
    address = web_address(url)
    assert (address.host, address.port, address.target, address.authority) == (host, port, target, authority)


@pytest.mark.parametrize("port", ["abc", "99999", "65536", "0", "-1", "+80", "٣", "8 0", "0x50", "8_0", "１"])
def test_a_port_is_a_number_from_1_to_65535(port: str) -> None:
    with pytest.raises(ValueError, match=r"the port .* must be a number from 1 to 65535|must hold no spaces"):
        web_address(f"http://hooks.example:{port}/")


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.1",
        "1.2.3.4.5",
        "127.0.0.256",
        "127.0.0.1.0x",
        "4294967297",
    ],
)
def test_unusual_spellings_of_ipv4_addresses_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"must be a name, or an IPv4 address of the form 10\.1\.2\.3"):
        web_address(f"http://{host}/")


@pytest.mark.parametrize("host", ["127。0。0。1", "127.0.0.1."])
def test_ideographic_and_final_dots_give_the_same_host(host: str) -> None:
    assert web_address(f"http://{host}/").host == "127.0.0.1"


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("ftp://lab.example/", "form https://host/path"),
        ("lab.example", "form https://host/path"),
        ("http:lab.example", "form https://host/path"),
        ("http:///x", "must be a name such as"),
        ("http://me:pw@lab.example/", "without a user, a password"),
        ("http://:pw@lab.example/", "without a user, a password"),
        ("http://@lab.example/", "without a user, a password"),
        ("http://lab.example/#part", "or a fragment"),
        ("http://lab.example#@evil.example/", "or a fragment"),
        ("http://evil.example\\@lab.example/", "no backslashes"),
        ("http://lab.example/a b", "no spaces"),
        ("http://lab.example/\r\nX: y", r"U\+000D"),
        ("http://lab.example/\x01", r"U\+0001"),
        ("http://lab\u200b.example/", r"U\+200B"),
        ("http://[::1", "form https://host/path"),
        ("http://[fe80::1%25eth0]/", "must be an IPv6 address"),
        ("http://[::1]x/", "form https://host/path"),
        ("http://１２７.0.0.1/", "must be a name such as"),
        ("http://a..b/", "must be a name such as"),
        ("http://-a/", "must be a name such as"),
        ("http://" + "a." * 130 + "b/", "must be a name such as"),
        ("http://%6cocalhost/", "must be a name such as"),
    ],
)
def test_malformed_and_ambiguous_addresses_are_refused(url: str, detail: str) -> None:
    with pytest.raises(ValueError, match=detail):
        web_address(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lab.example", ("lab.example", None)),
        ("x:8443", ("x", 8443)),
        ("::1", ("::1", None)),
        ("[::1]:8", ("::1", 8)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
    ],
)
def test_a_host_in_the_operators_list_may_have_a_port(text: str, expected: tuple[str, int | None]) -> None:
    assert host_and_port(text) == expected


@pytest.mark.parametrize("text", ["http://x", "x/y", "*.example", "x:99999", "x:y", "a b", ":80", "2130706433"])
def test_a_listed_host_that_no_address_can_match_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        host_and_port(text)
