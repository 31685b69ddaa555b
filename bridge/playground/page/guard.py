"""Keeps other web pages out: the playground listens on this machine, where every page can try to reach it."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "::1")  # any other name may be DNS that was bent to this machine
SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SameOrigin:
    """Middleware: refuses a host name that isn't this machine's, and a change that another origin asks for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = refusal(scope["method"], Headers(scope=scope))
        if problem is not None:
            await PlainTextResponse(problem, 403)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


def refusal(method: str, headers: Headers) -> str | None:
    """Why this request isn't served, or None."""
    host = headers.get("host", "")
    try:
        name = urlsplit(f"http://{host}").hostname
    except ValueError:
        name = None
    if name not in HOSTS:
        return "The playground is reached by 127.0.0.1 or localhost only."
    if method not in SAFE and headers.get("origin") != f"http://{host}":
        return "Only the playground's own page may do that."
    return None
