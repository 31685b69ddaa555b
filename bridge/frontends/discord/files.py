"""Files out of Discord and into it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import discord
import httpx

from bridge.frontends.discord.settings import API_URL
from bridge.inbound import RemoteFile
from bridge.turns.surface import Gone, Refused, Throttled, Unreachable, Upload

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
DOWNLOAD_TIMEOUT = httpx.Timeout(30.0)  # seconds without a byte
CHUNK = 64 * 1024  # bytes held in memory at a time
DEFAULT_RETRY_AFTER = 5.0  # seconds, for a 429 of the CDN that doesn't say


class Downloads:
    """Fetches attachments, from the platform's own hosts only: a URL that came over the wire is no reason to ask
    anyone else, and a redirect is none either."""

    def __init__(self, api_url: str) -> None:
        self._elsewhere = None if api_url == API_URL else httpx.URL(api_url)
        self._client = httpx.AsyncClient(timeout=DOWNLOAD_TIMEOUT, follow_redirects=False)

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        """Raises `Refused` for another host or more than `max_bytes`, and leaves nothing at `to` then."""
        url = self._trusted(file.url)
        if file.size > max_bytes:
            raise Refused(f"fetch: {file.size} bytes, at most {max_bytes}")
        try:
            async with self._client.stream("GET", url) as response:
                _check(response)
                await _save(response, to, max_bytes)
        except httpx.TransportError as error:
            raise Unreachable(f"fetch: {type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.aclose()

    def _trusted(self, url: str) -> httpx.URL:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise Refused("fetch: not a URL") from None
        if parsed.scheme == "https" and parsed.host in CDN_HOSTS and parsed.port is None:
            return parsed
        own = self._elsewhere
        if own and (parsed.scheme, parsed.netloc) == (own.scheme, own.netloc):
            return parsed
        raise Refused("fetch: not one of Discord's hosts")


def as_sdk_files(uploads: Sequence[Upload], closing: ExitStack) -> list[discord.File]:
    """The files, opened; `closing` closes them."""
    opened = []
    for upload in uploads:
        file = discord.File(upload.path, filename=upload.name)
        closing.callback(file.close)
        opened.append(file)
    return opened


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    detail = f"fetch: HTTP {status}"
    if status == 429:
        raise Throttled(detail, _seconds(response.headers.get("retry-after")))
    if status >= 500:
        raise Unreachable(detail)
    if status in (403, 404, 410):  # deleted, or its signed address has expired
        raise Gone(detail)
    raise Refused(detail)


def _seconds(value: str | None) -> float:
    try:
        return max(0.0, float(value or DEFAULT_RETRY_AFTER))
    except ValueError:
        return DEFAULT_RETRY_AFTER


async def _save(response: httpx.Response, to: Path, max_bytes: int) -> None:
    size = 0
    try:
        with to.open("wb") as target:
            async for chunk in response.aiter_bytes(CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise Refused(f"fetch: more than {max_bytes} bytes")
                target.write(chunk)
    except BaseException:
        to.unlink(missing_ok=True)  # noqa: ASYNC240
        raise
