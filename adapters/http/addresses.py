"""Where a backend may lead us: to public addresses, and to no machine that only we can reach.

A name is looked up once and the connection made to the address that was found fit, so that a second look-up can't
give another. Where a proxy stands between, it is given that address too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection

import httpx

from adapters.base import ProtocolError, Unavailable

LOOK_UP = 10.0  # seconds

_EMBEDDING = (
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("::/96"),
)  # the last four bytes are an IPv4


def origin(address: str | httpx.URL) -> str:
    """Scheme, host and port; empty for what is no address."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return ""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return f"{url.scheme}://{url.host}:{port}"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and any(ip in network for network in _EMBEDDING):
            inner = ipaddress.IPv4Address(ip.packed[-4:])
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


async def look_up(host: str, port: int | None) -> list[str]:
    """The addresses of a name. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOK_UP):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def led(url: httpx.URL, listed: Collection[str]) -> tuple[httpx.URL, dict[str, str], dict[str, str]]:
    """The way to where a backend led: what to connect to, and the headers and extensions that keep its name.
    Origins in `listed` are as good as public ones.

    Raises `ProtocolError` for an address that isn't public, `Unavailable` for a name that leads nowhere.
    """
    if origin(url) in map(origin, listed):
        return url, {}, {}
    try:
        addresses = await look_up(url.host, url.port)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"nothing is known of {url.host[:100]!r}") from error
    if not addresses or not all(map(is_public, addresses)):
        raise ProtocolError(f"{url.host[:100]!r} is no public address, and isn't listed in `file_origins`")
    if url.host in addresses:
        return url, {}, {}
    place = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    named = {"sni_hostname": url.raw_host.decode("ascii")} if url.scheme == "https" else {}
    return url.copy_with(host=place), {"Host": url.netloc.decode("ascii")}, named
