"""HTTP to systems of others: only to addresses that a channel may reach, and no more of an answer than is of use.

A name is resolved here, and the connection goes to the address that was looked at: a name that means something else a moment
later changes nothing. Redirects are not followed and no proxy of the environment is used, since both lead elsewhere.

A time-out of the library is for one read: who sends a byte every few seconds never runs into it. So the whole of a request
has an end as well, which every read, write and connection keeps.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from telemetry.errors import Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ANSWER_MAX = 64 * 1024
# Beside what Python calls not global, which differs from version to version.
_NEVER_OUTSIDE = tuple(
    ipaddress.ip_network(each)
    for each in (
        "168.63.129.16/32",  # a cloud's own service, at an address that looks like any other
        "100.64.0.0/10",
        "192.0.0.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "64:ff9b:1::/48",
        "::ffff:0:0:0/96",  # where translators within a site reach IPv4
        "fec0::/10",  # what sites had before fc00::/7; some have it still
        "ff00::/8",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[Address]]
"""(name, port): its addresses. Raises OSError."""


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a name, or of an address in any notation that a connection would understand (2130706433, 0x7f.1)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [_parsed(str(each[4][0])) for each in found]


def is_reachable(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether an address is out on the internet, or in a network that was allowed by name."""
    inner = _inner(address)
    if any(inner.version == network.version and inner in network for network in allowed):
        return True
    return inner.is_global and not any(
        inner in network for network in _NEVER_OUTSIDE if network.version == inner.version
    )


def why_not(url: str, allowed: Sequence[Network]) -> str | None:
    """Why a URL will never be reached, by the address that stands in it or a host that is none; None: it may be."""
    try:
        host = httpx.URL(url).host
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except UnicodeError:
        return "what stands there for a host cannot be the name of a host"
    except (OSError, httpx.InvalidURL):
        return None
    refused = [address for each in found if not is_reachable(address := _parsed(str(each[4][0])), allowed)]
    return _told(refused) if refused else None


class Outside(httpx.HTTPTransport):
    """Connects to what a name stands for if that may be reached."""

    def __init__(self, allowed: Sequence[Network] = (), resolved: Resolve = resolve) -> None:
        super().__init__(trust_env=False)
        # As the library makes it, but for what connects.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Bounded(),
        )
        self._allowed = allowed
        self._resolved = resolved

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Unavailable when nothing that the name stands for may be reached."""
        host = request.url.host
        try:
            found = self._resolved(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        addresses = [address for address in dict.fromkeys(found) if is_reachable(address, self._allowed)]
        if not addresses:
            raise Unavailable(_told(found))
        # The name stays in the Host header, and is what a certificate must be for.
        extensions = {**request.extensions, "sni_hostname": host}
        for last, address in enumerate(addresses, 1 - len(addresses)):
            there = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return super().handle_request(there)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last == 0:
                    raise
        raise AssertionError


def client(timeout_s: float, allowed: Sequence[Network], resolved: Resolve = resolve) -> httpx.Client:
    """A client that reaches what it may, and follows nobody elsewhere."""
    return httpx.Client(
        timeout=timeout_s, follow_redirects=False, trust_env=False, transport=Outside(allowed, resolved)
    )


def post(
    outside: httpx.Client, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """POST JSON: status, and the first of the answer as it came, unpacked by nobody. Raises httpx.HTTPError, Unavailable.

    The whole of it takes no longer than twice the client's time-out. Past that a status that is known is the answer.
    """
    timeout_s = outside.timeout.read or 60.0
    until_s = time.monotonic() + 2 * timeout_s
    asking = {"Accept-Encoding": "identity", **(headers or {})}
    bound = _UNTIL_S.set(until_s)
    try:
        with outside.stream("POST", url, json=dict(body), headers=asking) as answer:
            found = b""
            try:
                for chunk in answer.iter_raw():
                    found += chunk
                    if len(found) >= _ANSWER_MAX:
                        break
            except httpx.TimeoutException:
                if time.monotonic() < until_s:
                    raise
            return httpx.Response(answer.status_code, content=found[:_ANSWER_MAX])
    finally:
        _UNTIL_S.reset(bound)


_UNTIL_S: ContextVar[float] = ContextVar("until_s")
"""On the monotonic clock: when what this thread asks for must be over."""


class _Bounded(httpcore.NetworkBackend):
    """Connects, and lets nothing of what follows last beyond the end of the request that it is for."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(self._inner.connect_tcp(host, port, left_s, local_address, socket_options))


class _BoundedStream(httpcore.NetworkStream):
    """A connection that serves one request after the other, each with an end of its own."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left_s(timeout_s: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    """How long one step may take. Raises `over` where nothing is left of its request's time."""
    until_s = _UNTIL_S.get(None)
    if until_s is None:
        return timeout_s
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise over("the whole of the request took too long")
    return left_s if timeout_s is None else min(timeout_s, left_s)


def _parsed(text: str) -> Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries to where it is translated, or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _told(addresses: Sequence[Address]) -> str:
    shown = ", ".join(map(str, dict.fromkeys(addresses)))
    return f"{shown} is within the site or the machine itself: name its network in the channel's 'allow_networks'"
