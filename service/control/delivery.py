"""One delivery of a webhook: a POST to an address that a stranger wrote, within one deadline.

The host is resolved once. The connection goes to an address that was checked, not to the name, so a DNS server cannot
answer the check with one address and the connection with another. The name stays in the `Host` header and in TLS, where
the certificate must fit it. Redirects are not followed, and proxies of the environment are not used.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import httpx

from service.control.destinations import is_listed, refusal
from service.text import printable
from service.web_address import WebAddress, web_address

# Seconds for all of a delivery: DNS, connection, TLS, sending, and the whole answer.
DEADLINE_S = 10.0
# Seconds for one of several addresses to accept a connection, so that the next one still has its turn.
CONNECT_S = 4.0
# Bytes of an answer that are read; only its status is used.
MAX_ANSWER_BYTES = 65_536
# Characters of an error that are stored.
MAX_ERROR_LENGTH = 500

Resolver = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host.

    If this call is cancelled, its thread still runs: a DNS server that does not answer holds it for half a minute.

    Raises:
        OSError: The host has no address, or no DNS server answers.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def finish(addresses: list[str] | None, error: OSError | UnicodeError | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses or [])

    def work() -> None:
        addresses, problem = None, None
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, addresses, problem)

    threading.Thread(target=work, name="resolve", daemon=True).start()
    return await found


async def deliver(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    hosts: Sequence[str],
    tls: ssl.SSLContext,
    resolver: Resolver = resolve,
    deadline_s: float | None = None,
) -> str | None:
    """Send one message.

    Args:
        url: The address as a user wrote it, perhaps to an older version that checked less.
        body: The body of the request.
        headers: Its headers, besides `Host`.
        hosts: The operator's list of hosts.
        tls: The certificates that are trusted.
        resolver: Finds the IP addresses of a host.
        deadline_s: Seconds for the whole delivery; None: `DEADLINE_S`.

    Returns:
        What went wrong, for people; None if the receiver answered with a status of success.
    """
    deadline_s = DEADLINE_S if deadline_s is None else deadline_s
    try:
        address = web_address(url)
    except ValueError as error:
        return printable(f"webhook.url {error}")[:MAX_ERROR_LENGTH]
    if not is_listed(address, hosts):
        return f"{address.authority} is not among the hosts that TET_WEBHOOK_HOSTS allows"
    try:
        async with asyncio.timeout(deadline_s):
            permitted, refused = _sorted(await resolver(address.host, address.port), address.host)
            if not permitted:
                return f"{address.authority} cannot be used: {'; '.join(refused) or 'it has no address'}"
            status = await _post(address, permitted, body, headers, tls)
    except TimeoutError:
        return f"{address.authority} did not answer completely within {deadline_s:g} s"
    except (httpx.HTTPError, OSError, UnicodeError) as error:
        return printable(f"{type(error).__name__}: {error}")[:MAX_ERROR_LENGTH]
    return None if httpx.codes.is_success(status) else f"the receiver answered {status}"


def _sorted(addresses: Sequence[str], host: str) -> tuple[list[str], list[str]]:
    """Return the IP addresses that may be used, and why the others may not."""
    reasons = {ip: refusal(ip, host) for ip in addresses}
    return [ip for ip, why in reasons.items() if why is None], [why for why in reasons.values() if why is not None]


async def _post(
    address: WebAddress, ips: Sequence[str], body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext
) -> int:
    """Post to the first IP address that accepts a connection; return the status after the whole answer."""
    for ip in ips[:-1]:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await _post_to(ip, address, body, headers, tls)
    return await _post_to(ips[-1], address, body, headers, tls)


async def _post_to(ip: str, address: WebAddress, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext) -> int:
    # Only httpx sees this URL. Its host is an IP address, so nothing is looked up.
    url = httpx.URL(scheme=address.scheme, host=ip, port=address.port, raw_path=address.target.encode())
    # `identity`: a compressed answer could become a thousand times as long.
    own = {"Host": address.authority, "Accept-Encoding": "identity", "Connection": "close"}
    timeout = httpx.Timeout(None, connect=CONNECT_S)
    async with (
        httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=timeout) as client,
        client.stream(
            "POST", url, content=body, headers={**headers, **own}, extensions={"sni_hostname": address.host}
        ) as answer,
    ):
        num_bytes = 0
        async for part in answer.aiter_raw():
            num_bytes += len(part)
            if num_bytes > MAX_ANSWER_BYTES:
                break
        return answer.status_code
