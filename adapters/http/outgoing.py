"""What a person wrote and sent along, on its way to a backend."""

from __future__ import annotations

from typing import IO

from adapters.base import Attachment, Message, Rejected
from adapters.sentences import UNREADABLE
from adapters.text import safe_name

MAX_INLINE = 8 * 2**20  # bytes of a file inside a request; base64 makes it a third more


def words(message: Message) -> str:
    """The text, or for services that want one the names of the files where a person sent nothing else."""
    return (
        message.text if message.text.strip() else ", ".join(safe_name(file.name) for file in message.attachments)
    )


def opened(attachment: Attachment) -> IO[bytes]:
    """The file, for the caller to close. Raises `Rejected`."""
    try:
        return attachment.path.open("rb")
    except OSError as error:
        raise Rejected(f"can't read an attachment: {error.strerror}", sentence=UNREADABLE) from error


def too_large_inline(size: int) -> str:
    """Why a file can't travel inside a request, for people; "" where it can."""
    return f"Files for this agent may have {MAX_INLINE // 2**20} MB at most." if size > MAX_INLINE else ""


def inline(attachment: Attachment) -> bytes:
    """The whole file, to travel inside a request. Raises `Rejected`, too, above `MAX_INLINE`."""
    if sentence := too_large_inline(attachment.size):
        detail = f"an attachment of {attachment.size} bytes, {MAX_INLINE} fit into a request"
        raise Rejected(detail, sentence=sentence)
    with opened(attachment) as file:
        return file.read()
