"""`POST /slack/events`: what comes from anywhere on the network becomes a verified event, or is refused.

Nothing is parsed before its signature is verified, over the bytes as they came, and no more is read than Slack
sends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import structlog
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bridge.frontends.slack.content import Payload

log = structlog.get_logger()

MAX_REQUEST = 1024 * 1024  # bytes; Slack's events are a few KB
BODY_WITHIN = 10.0  # seconds
AT_ONCE = 500  # requests that are being stored; beyond, Slack is told to deliver again
TELL_EVERY = 60.0  # seconds between two log lines about what was refused


class _Refusal(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Endpoint:
    """Passes on to `dispatch` what Slack signed."""

    def __init__(self, dispatch: Callable[[Payload], Awaitable[BoltResponse]], signing_secret: str) -> None:
        self._dispatch = dispatch
        self._verifier = SignatureVerifier(signing_secret)
        self._under_way = 0
        self._told_at = float("-inf")
        self._untold: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()  # since the start, by reason

    async def receive(self, request: Request) -> Response:
        try:
            if self._under_way >= AT_ONCE:
                raise _Refusal(503, "busy")
            self._under_way += 1
            try:
                return await self._receive(request)
            finally:
                self._under_way -= 1
        except _Refusal as refusal:
            self._count(refusal.reason)
            return Response(status_code=refusal.status)

    async def _receive(self, request: Request) -> Response:
        raw = await _read(request)
        self._verify(raw, request)
        body = _parse(raw, request.headers.get("content-type", ""))
        if body.get("type") == "url_verification":
            return JSONResponse({"challenge": body.get("challenge")})
        if body.get("ssl_check"):
            return Response()
        answer = await self._dispatch(body)
        return Response(answer.body, answer.status, headers=answer.first_headers_without_set_cookie())

    def _verify(self, raw: bytes, request: Request) -> None:
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20 and signature.isascii()):
            raise _Refusal(401, "not signed")
        try:
            valid = self._verifier.is_valid(raw, timestamp, signature)
        except UnicodeDecodeError:  # what isn't text, Slack didn't sign
            valid = False
        if not valid:
            raise _Refusal(401, "wrong signature")

    def _count(self, reason: str) -> None:
        self.refused[reason] += 1
        self._untold[reason] += 1
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY:
            self._told_at = now
            log.warning("slack.requests_refused", **self._untold)
            self._untold.clear()


async def _read(request: Request) -> bytes:
    length = request.headers.get("content-length")
    if length is not None and "transfer-encoding" in request.headers:
        raise _Refusal(400, "two lengths")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise _Refusal(400, "no length")
    if length is not None and (len(length) > len(str(MAX_REQUEST)) or int(length) > MAX_REQUEST):
        raise _Refusal(413, "too large")
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MAX_REQUEST:
                    raise _Refusal(413, "too large")
    except TimeoutError:
        raise _Refusal(408, "too slow") from None
    except ClientDisconnect:
        raise _Refusal(400, "cut off") from None
    return bytes(raw)


def _parse(raw: bytes, content_type: str) -> Payload:
    try:
        if content_type.partition(";")[0].strip() == "application/x-www-form-urlencoded":
            form = dict(parse_qsl(raw.decode(), keep_blank_values=True))
            body = json.loads(form["payload"]) if "payload" in form else form
        else:
            body = json.loads(raw)
    except (ValueError, RecursionError):
        raise _Refusal(400, "not readable") from None
    if not isinstance(body, dict):
        raise _Refusal(400, "not readable")
    return body
