"""Files out of Discord and into it."""

from __future__ import annotations

import mimetypes
import re
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import aiohttp
import discord
import httpx
from yarl import URL

from adapters.text import safe_name
from bridge.frontends.common.download import CHUNK, save
from bridge.frontends.discord.calls import retry_after
from bridge.frontends.discord.settings import API_URL
from bridge.inbound import RemoteFile
from bridge.render.discord import DISCORD
from bridge.turns.surface import Gone, Guard, Refused, Throttled, Unreachable, Upload

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=30, sock_read=30)  # seconds without a byte
DEFAULT_RETRY_AFTER = 5.0  # seconds, for a 429 of the CDN that doesn't say
EXPIRES_WITHIN = 60.0  # seconds: an address with less left is renewed before it is used

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class FileId:
    """Names an attachment so that its address, which Discord lets expire after a day, can be had anew:
    `channel/message/attachment`, the `id` of a `RemoteFile` from Discord."""

    channel: int
    message: int
    attachment: int

    def __str__(self) -> str:
        return f"{self.channel}/{self.message}/{self.attachment}"

    @classmethod
    def read(cls, written: str) -> Self | None:
        """None for any other form."""
        numbers = written.split("/")
        return cls(*map(int, numbers)) if len(numbers) == 3 and all(n.isdecimal() for n in numbers) else None


class Named(Protocol):
    """An attachment, as far as its name goes."""

    @property
    def filename(self) -> str: ...

    @property
    def title(self) -> str | None: ...

    @property
    def content_type(self) -> str | None: ...


def shown_name(attachment: Named) -> str:
    """The file's name as the person gave it. Discord keeps plain letters of it, and the whole, without what
    follows the last dot, as the title; of one without a plain letter before that dot, that alone is left."""
    name = attachment.filename
    if not attachment.title:
        return name
    media_type = (attachment.content_type or "").partition(";")[0]
    end = f".{name.rpartition('.')[2]}"
    if "." not in name and end not in mimetypes.guess_all_extensions(media_type):
        end = ""
    return attachment.title if attachment.title.endswith(end) else attachment.title + end


def has_expired(url: str) -> bool:
    """Whether a signed address says so itself, or soon will."""
    try:
        return int(httpx.URL(url).params["ex"], 16) < time.time() + EXPIRES_WITHIN
    except (KeyError, ValueError, httpx.InvalidURL):
        return False


class Downloads:
    """Fetches attachments, from the platform's own hosts and those of the settings only: a URL that came over the
    wire is no reason to ask anyone else, and a redirect is none either."""

    def __init__(self, api_url: str, origins: Collection[str] = ()) -> None:
        own = [] if api_url == API_URL else [api_url]
        self._origins = {_origin(httpx.URL(url)) for url in (*own, *origins)}
        # aiohttp, as httpx takes from a fast host what its loop can't use yet, some 7 MB a file.
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int, guard: Guard) -> None:
        """Raises `Refused` for another host or more than `max_bytes`, and leaves nothing at `to` then; `Gone` for
        an address that has expired or a file that was deleted."""
        url = self._trusted(file.url)
        if file.size > max_bytes:
            raise Refused(f"fetch: {file.size} bytes, at most {max_bytes}")
        await guard()
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=DOWNLOAD_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.get(URL(str(url), encoded=True), allow_redirects=False) as response:
                _check(response)
                await save(response.content.iter_chunked(CHUNK), to, max_bytes, what="fetch")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Unreachable(f"fetch: {type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _trusted(self, url: str) -> httpx.URL:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise Refused("fetch: not a URL") from None
        if parsed.scheme == "https" and parsed.host in CDN_HOSTS and parsed.port is None:
            return parsed
        if _origin(parsed) in self._origins:
            return parsed
        raise Refused("fetch: not one of Discord's hosts")


def form_of(
    payload: dict[str, Any], uploads: Sequence[Upload], closing: ExitStack
) -> tuple[list[dict[str, Any]], list[discord.File]]:
    """A message with files as a form, and the files, opened; `closing` closes them. Discord keeps plain letters of
    a file's name only: the title beside it says the whole."""
    opened, described = [], []
    form: list[dict[str, Any]] = []
    for index, upload in enumerate(uploads):
        name = safe_name(upload.name)
        file = discord.File(upload.path, filename=_plain(name))
        closing.callback(file.close)
        opened.append(file)
        about = {"id": index, "filename": file.filename}
        if file.filename != name:
            about["title"] = DISCORD.escape(Path(name).stem)
        described.append(about)
        form.append(
            {
                "name": f"files[{index}]",
                "value": file.fp,
                "filename": file.filename,
                "content_type": "application/octet-stream",
            }
        )
    written = discord.utils._to_json({**payload, "attachments": described})
    return [{"name": "payload_json", "value": written}, *form], opened


def _plain(name: str) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    return (_NOT_PLAIN.sub("_", stem).strip("_.") or "file") + _NOT_PLAIN.sub("", suffix)


def _origin(url: httpx.URL) -> tuple[str, bytes]:
    return url.scheme, url.netloc


def _check(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    detail = f"fetch: HTTP {status}"
    if status == 429:
        raise Throttled(detail, retry_after(response.headers.get("Retry-After"), DEFAULT_RETRY_AFTER))
    if status >= 500:
        raise Unreachable(detail)
    if status in (403, 404, 410):  # deleted, or its signed address has expired
        raise Gone(detail)
    if 300 <= status < 400:
        raise Refused(f"{detail}, which leads elsewhere")
    raise Unreachable(detail)
