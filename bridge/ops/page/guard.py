"""What every answer of the page says to a browser, and what a form must bring. Knows requests, and no session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_FORM = 8 * 1024  # bytes
FORM_WITHIN = 10.0  # seconds
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # To no other address. `no-referrer` would have browsers send our own forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


class Guarded:
    """Middleware: the headers, on errors and files too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


class TooMuch(Exception):
    """A form that no page of ours sends."""


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a posted form, the last of each name.

    :raises TooMuch: it is too large, too slow or no form.
    """
    raw = bytearray()
    try:
        async with asyncio.timeout(FORM_WITHIN):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MAX_FORM:
                    raise TooMuch
        found = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=10)
    except (TimeoutError, ClientDisconnect, ValueError):
        raise TooMuch from None
    return {name: values[-1] for name, values in found.items()}


def comes_from(request: Request) -> str:
    """Where a request comes from, as far as tries are counted: of an IPv6 address its network."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return address.exploded[:19] if isinstance(address, IPv6Address) and not address.ipv4_mapped else host


def is_own_page(request: Request, public_url: str) -> bool:
    """Whether a browser says that a page of this address sent the form."""
    origin = request.headers.get("origin", "")
    own = {f"{scheme}://{request.headers.get('host', '')}" for scheme in ("http", "https")}
    if public_url:
        parts = urlsplit(public_url)
        own.add(f"{parts.scheme}://{parts.netloc}")
    return origin in own


def is_public(request: Request, public_url: str) -> bool:
    """Whether it came by the address that people's browsers use."""
    return bool(public_url) and request.headers.get("host", "") == urlsplit(public_url).netloc
