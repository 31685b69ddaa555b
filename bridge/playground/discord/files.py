"""Attachments: their bytes, and the signed addresses that serve them for a day, as Discord's CDN does."""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from bridge.playground.discord.model import Attachment, Upload
from bridge.playground.discord.snowflake import Clock

FILE_LIMITS = (10, 10, 50, 100)  # MiB a file, by a guild's boost tier (documented)
MAX_REQUEST = 25 * 1024 * 1024  # bytes of all files of a request (documented)
MAX_FILES = 10  # files of a message (documented)
ADDRESS_LIVES = 86_400.0  # seconds; seen, and documented as "limited"
MAX_KEPT = 512 * 1024 * 1024  # bytes of files held in memory; the oldest go first

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\-]")


class FileStore:
    """Holds the bytes of attachments by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(16)
        self._kept: dict[int, tuple[str, bytes]] = {}  # media type and bytes
        self._held = 0

    def add(self, attachment: Attachment, data: bytes) -> None:
        self._kept[attachment.id] = (attachment.media_type, data)
        self._held += len(data)
        while self._held > MAX_KEPT and len(self._kept) > 1:
            _, dropped = self._kept.pop(next(iter(self._kept)))
            self._held -= len(dropped)

    def read(self, attachment_id: int) -> tuple[str, bytes] | None:
        """The media type and the bytes, if they are still kept."""
        return self._kept.get(attachment_id)

    def address(self, attachment: Attachment) -> str:
        """Where the file is, below the server's address, with its signature."""
        path = f"{attachment.channel_id}/{attachment.id}/{quote(attachment.name)}"
        expires = f"{int(self._clock() + ADDRESS_LIVES):x}"
        kind = "ephemeral-attachments" if attachment.ephemeral else "attachments"
        return f"/{kind}/{path}?ex={expires}&is={int(self._clock()):x}&hm={self._sign(attachment.id, expires)}&"

    def may_read(self, attachment_id: int, query: Mapping[str, str]) -> bool:
        expires = query.get("ex", "")
        if not hmac.compare_digest(self._sign(attachment_id, expires), query.get("hm", "")):
            return False
        return int(expires, 16) >= self._clock()

    def _sign(self, attachment_id: int, expires: str) -> str:
        return hmac.new(self._key, f"{attachment_id}:{expires}".encode(), hashlib.sha256).hexdigest()


def make_attachment(upload: Upload, *, attachment_id: int, channel_id: int, ephemeral: bool = False) -> Attachment:
    """An attachment as Discord names it: only plain letters stay in the file's name, the rest is its title."""
    name = plain_name(upload.name)
    media_type = upload.media_type
    if media_type in ("", "application/octet-stream"):
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Attachment(
        id=attachment_id,
        name=name,
        media_type=media_type,
        size=len(upload.data),
        channel_id=channel_id,
        title=upload.title or (None if name == upload.name else upload.name.rpartition(".")[0] or upload.name),
        description=upload.description,
        ephemeral=ephemeral,
        seconds=upload.seconds,
    )


def plain_name(name: str) -> str:
    """A file's name as Discord keeps it."""
    return _NOT_IN_NAMES.sub("", name.replace(" ", "_")).lstrip(".") or "unknown"


def file_limit(boost_tier: int) -> int:
    """Bytes that one file may have."""
    return FILE_LIMITS[boost_tier] * 1024 * 1024
