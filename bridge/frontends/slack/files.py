"""Files into the thread and out of it, from and to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import aiohttp

from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, RemoteFile
from bridge.render.slack import slack_mrkdwn
from bridge.turns.surface import Refused, Throttled, Unreachable, Upload

CHUNK = 64 * 1024  # bytes
TRANSFER = aiohttp.ClientTimeout(total=900, connect=10, sock_read=60)  # seconds; a file may be large
REDIRECTS = 3
# The share of an upload shows up in files.info a moment after the upload was completed.
SHARE_POLLS = 8
SHARE_INTERVAL = 0.2  # seconds; each wait is longer by this, about 6 seconds in all


async def upload(workspace: Workspace, address: Address, uploads: Sequence[Upload], text: str) -> str:
    """Send files as one message of the thread and return its id. Nothing shows before the last call."""
    sent: list[dict[str, str]] = []
    method = "files.getUploadURLExternal"
    try:
        async with aiohttp.ClientSession(timeout=TRANSFER) as client:
            for one in uploads:
                target = await workspace.write.files_getUploadURLExternal(filename=one.name, length=one.size)
                await _send(client, target["upload_url"], one)
                sent.append({"id": target["file_id"], "title": one.name})
        method = "files.completeUploadExternal"
        await workspace.write.files_completeUploadExternal(
            files=sent,  # type: ignore[arg-type]  # a list is invariant; the SDK only reads it
            channel_id=address.channel,
            thread_ts=address.thread,
            initial_comment=slack_mrkdwn(text) if text else None,
        )
    except SDK_ERRORS as error:
        raise Failure.of(error).surface_error(method) from error
    return await _message_of(workspace, address, sent[0]["id"])


async def fetch(workspace: Workspace, file: RemoteFile, to: Path, max_bytes: int) -> None:
    """Download a person's file to `to`; on any error nothing is left there."""
    if file.size > max_bytes:
        raise Refused(f"file {file.id} has {file.size} bytes")
    url = file.url or await _url_of(workspace, file)
    try:
        async with aiohttp.ClientSession(timeout=TRANSFER) as client:
            await _download(client, workspace, url, file, to, max_bytes)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"file {file.id}: {type(error).__name__}") from error


def is_slacks_own(url: str, settings: SlackSettings) -> bool:
    """Whether the token may be sent there: to Slack's own hosts, or to the one that `api_url` names instead."""
    target, api = urlsplit(url), urlsplit(settings.api_url)
    host, api_host = target.hostname or "", api.hostname or ""
    if _is_slack(api_host):
        return target.scheme == "https" and _is_slack(host)
    return (target.scheme, target.netloc) == (api.scheme, api.netloc)


def _is_slack(host: str) -> bool:
    return host == "slack.com" or host.endswith(".slack.com")


async def _send(client: aiohttp.ClientSession, url: str, one: Upload) -> None:
    with one.path.open("rb") as content:  # aiohttp reads it in pieces
        async with client.post(url, data=content, headers={"Content-Type": "application/octet-stream"}) as answer:
            if answer.status == 429:
                raise Throttled("file upload: HTTP 429", float(answer.headers.get("Retry-After", 1)))
            if answer.status >= 500:
                raise Unreachable(f"file upload: HTTP {answer.status}")
            if answer.status != 200:
                raise Refused(f"file upload: HTTP {answer.status}")


async def _message_of(workspace: Workspace, address: Address, file_id: str) -> str:
    """The id of the message that a file was just shared with; the file's own if Slack is slow to say."""
    for poll in range(SHARE_POLLS):
        try:
            found = (await workspace.read.files_info(file=file_id))["file"]
        except SDK_ERRORS as error:
            if Failure.of(error).refused:
                break
        else:
            for places in (found.get("shares") or {}).values():
                for share in places.get(address.channel, []):
                    return str(share["ts"])
        await asyncio.sleep(SHARE_INTERVAL * poll)
    return file_id


async def _url_of(workspace: Workspace, file: RemoteFile) -> str:
    """Files of another organisation arrive without an address: it has to be asked for."""
    try:
        found = (await workspace.read.files_info(file=file.id))["file"]
    except SDK_ERRORS as error:
        raise Failure.of(error).surface_error("files.info") from error
    return str(found.get("url_private_download") or found.get("url_private") or "")


async def _download(
    client: aiohttp.ClientSession, workspace: Workspace, url: str, file: RemoteFile, to: Path, max_bytes: int
) -> None:
    for _ in range(REDIRECTS + 1):
        if not is_slacks_own(url, workspace.settings):
            raise Refused(f"file {file.id} isn't on Slack's own hosts")
        headers = {"Authorization": f"Bearer {workspace.token}"}
        async with client.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                url = urljoin(url, answer.headers.get("Location", ""))
                continue
            _check(answer, file, max_bytes)
            await _save(answer, file, to, max_bytes)
            return
    raise Refused(f"file {file.id}: more than {REDIRECTS} redirects")


def _check(answer: aiohttp.ClientResponse, file: RemoteFile, max_bytes: int) -> None:
    if answer.status == 429:
        raise Throttled(f"file {file.id}: HTTP 429", float(answer.headers.get("Retry-After", 1)))
    if answer.status >= 500:
        raise Unreachable(f"file {file.id}: HTTP {answer.status}")
    if answer.status != 200:
        raise Refused(f"file {file.id}: HTTP {answer.status}")
    if answer.content_type == "text/html" and file.media_type != "text/html":
        raise Refused(f"file {file.id}: Slack answered with its sign-in page (is the scope files:read there?)")
    if (answer.content_length or 0) > max_bytes:
        raise Refused(f"file {file.id} has {answer.content_length} bytes")


async def _save(answer: aiohttp.ClientResponse, file: RemoteFile, to: Path, max_bytes: int) -> None:
    received = 0
    with _kept_if_whole(to) as target:
        async for chunk in answer.content.iter_chunked(CHUNK):
            received += len(chunk)
            if received > max_bytes:
                raise Refused(f"file {file.id} has more than {max_bytes} bytes")
            target.write(chunk)


@contextmanager
def _kept_if_whole(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("wb") as target:
            yield target
    except BaseException:
        path.unlink(missing_ok=True)
        raise
