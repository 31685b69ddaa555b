"""`POST /threads` and `GET /threads/{id}`, behind a token."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable

import structlog
from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.speaking.request import Wrong, read_request
from bridge.speaking.speaker import Speaker
from bridge.tracing import TRACEPARENT

MAX_BODY = 256 * 1024  # bytes; a text of `MAX_TEXT` characters takes at most 240,000 as UTF-8 or escaped
BODY_WITHIN = 10.0  # seconds

log = structlog.get_logger()


def speaking_routes(speaker: Speaker, token: SecretStr) -> list[Route]:
    async def speak(request: Request) -> Response:
        check_token(request, token)
        said = await speaker.speak(
            read_request(_json(await _read(request))),
            request.headers.get("idempotency-key"),
            traceparent=request.headers.get(TRACEPARENT, ""),
        )
        return JSONResponse(said, status_code=202)

    async def state(request: Request) -> Response:
        check_token(request, token)
        return JSONResponse(await speaker.state(request.path_params["id"]))

    return [
        Route("/threads", answered(speak), methods=["POST"]),
        Route("/threads/{id}", answered(state), methods=["GET"]),
    ]


def check_token(request: Request, token: SecretStr) -> None:
    """:raises Wrong:"""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.strip().encode("utf-8", "replace"), token.get_secret_value().encode()
    ):
        raise Wrong(401, "a bearer token is needed: `http.token` of the settings")


def answered(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        try:
            return await handle(request)
        except Wrong as wrong:
            if wrong.status != 401:  # whoever has the token; anybody else could fill the log
                log.info("speaking.refused", status=wrong.status)
            return refusal(wrong)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:  # nobody outside reads a traceback
            log.exception("speaking.failed")
            return refusal(Wrong(500, "that didn't work; the log has why"))

    return handler


def refusal(wrong: Wrong) -> Response:
    headers = {}
    if wrong.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if wrong.retry_after is not None:
        headers["Retry-After"] = str(wrong.retry_after)
    return JSONResponse({"errors": list(wrong.sentences)}, status_code=wrong.status, headers=headers)


async def _read(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()) or int(length[:20]) > MAX_BODY:
        raise Wrong(413, f"a request may have {MAX_BODY} bytes")
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MAX_BODY:
                    raise Wrong(413, f"a request may have {MAX_BODY} bytes")
    except TimeoutError:
        raise Wrong(408, "the request came too slowly") from None
    return bytes(raw)


def _json(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Wrong(400, "the request isn't JSON") from None
