"""Web addresses that users send, read by one strict rule: the address that is checked is the one that is connected to.

Two programs may read one URL differently, such as `http://a@b/`, `http://2130706433/` or `http://host:99999/`. Here an
address has only a scheme, a host, a port, a path and a query, each in its canonical form; everything else is refused.
"""

import ipaddress
import re
from dataclasses import dataclass

import httpx

from service.text import hidden_in

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOST_LENGTH = 253
_FORM = "must be an address of the form https://host/path, without a user, a password or a fragment"
_AUTHORITY = re.compile(
    r"(?i)(?P<scheme>https?)://(?P<host>\[[^\]/?#@]*\]|[^\[\]:/?#@]*)(?::(?P<port>[^/?#@]*))?(?=[/?]|$)"
)
# Host names may not have underscores, but names in local networks do.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A host whose last part looks like this is a number to some resolvers: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")


@dataclass(frozen=True)
class WebAddress:
    """An address of the form `http(s)://host:port/path?query`.

    Attributes:
        scheme: `http` or `https`.
        host: A name in lower case and ASCII (IDNA), without a final dot; or an IP address in its canonical form.
        port: The port; the scheme's default if the URL names none.
        target: Path and query in ASCII, as an HTTP request names them.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as a `Host` header names them: the scheme's default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def web_address(url: str) -> WebAddress:
    """Read a URL.

    Raises:
        ValueError: The service does not send to such an address; the message says what is accepted.
    """
    if (problem := hidden_in(url)) is not None:
        raise ValueError(problem)
    if re.search(r"[\s\\]", url):
        raise ValueError("must hold no spaces and no backslashes; write %20 and %5C in a path")
    match = _AUTHORITY.match(url)
    if match is None or "#" in url:
        raise ValueError(_FORM)
    scheme = match["scheme"].lower()
    host, port = canonical_host(match["host"]), _port(match["port"], DEFAULT_PORTS[scheme])
    try:  # only for path and query: percent-encoding
        target = httpx.URL(f"http://host{url[match.end() :]}").raw_path.decode("ascii")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{_FORM}: {error}") from None
    return WebAddress(scheme, host, port, target)


def canonical_host(text: str) -> str:
    """Return a host in the form in which hosts are compared.

    Raises:
        ValueError: It is neither a host name nor an IP address in its usual form.
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    host = _ascii(text).removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(f"the host {text!r} must be a name, or an IPv4 address of the form 10.1.2.3") from None
    if len(host) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"the host {text!r} must be a name such as hooks.example, or an IP address")
    return host


def host_and_port(text: str) -> tuple[str, int | None]:
    """Read `host` or `host:port`; an IPv6 address with a port is in brackets.

    Raises:
        ValueError: The text has another form.
    """
    if text.count(":") > 1 and not text.startswith("["):
        return _ipv6(text), None
    match = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^\[\]:/?#@\s\\]*)(?::(?P<port>[^/]*))?", text)
    if match is None:
        raise ValueError(f"{text!r} must be a host or host:port, such as hooks.example:8443")
    return canonical_host(match["host"]), _port(match["port"] or "", 0) or None


def _ascii(host: str) -> str:
    """Return a name in ASCII, by IDNA 2008 as browsers use it, in lower case."""
    if host.isascii():
        return host.lower()
    try:
        return httpx.URL(f"http://{host}/").raw_host.decode("ascii").lower()
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError(f"the host {host!r} must be a name such as hooks.example, or an IP address") from None


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"the host '[{text}]' must be an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError(f"the host '[{text}]' must be an IPv6 address without a zone")
    return str(address)


def _port(text: str | None, default: int) -> int:
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"the port {text!r} must be a number from 1 to 65535")
    return int(text)
