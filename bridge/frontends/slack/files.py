"""Files into the thread and out of it, from and to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

from bridge.frontends.common.download import CHUNK, save
from bridge.frontends.slack.blocks import file_name
from bridge.frontends.slack.client import Client, required
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.workspace import Workspace, thread_ts
from bridge.inbound import Address, RemoteFile
from bridge.render.slack import slack_mrkdwn
from bridge.turns.progress import Progress, counted
from bridge.turns.surface import PartKey, Refused, Unreachable, Upload

TRANSFER = aiohttp.ClientTimeout(total=900, connect=10, sock_read=60)  # seconds; a file may be large
REDIRECTS = 3
# The share of an upload shows up in files.info a moment after the upload was completed.
SHARE_POLLS = 8
SHARE_INTERVAL = 0.2  # seconds; each wait is longer by this, about 6 seconds in all
UPLOADED = b"OK"  # how Slack's upload host begins its answer
REDIRECTED = frozenset({301, 302, 303, 307, 308})
NO_SUCH_FILE = frozenset({404, 410})


class Uploads:
    """Sends files into one thread, and knows which of them may have arrived although nobody said so."""

    def __init__(self, workspace: Workspace, client: Client, address: Address) -> None:
        self._workspace = workspace
        self._client = client
        self._address = address
        self._perhaps: dict[PartKey, str] = {}  # the first file of an upload whose answer was lost

    async def send(
        self, key: PartKey, uploads: Sequence[Upload], text: str, progress: Progress | None = None
    ) -> str:
        """Send files as one message of the thread and return its id. Nothing shows before the last call."""
        sent: list[dict[str, str]] = []
        method = "files.getUploadURLExternal"
        try:
            for one in uploads:
                name = file_name(one.name)
                target = await self._client.files_getUploadURLExternal(filename=name, length=one.size)
                await self._send(str(required(target, "upload_url")), one, progress)
                sent.append({"id": str(required(target, "file_id")), "title": name})
            method = "files.completeUploadExternal"
            self._perhaps[key] = sent[0]["id"]
            await self._client.files_completeUploadExternal(
                files=sent,  # type: ignore[arg-type]  # a list is invariant; the SDK only reads it
                channel_id=self._address.channel,
                thread_ts=thread_ts(self._address),
                initial_comment=slack_mrkdwn(text) if text else None,
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.refused:
                self._perhaps.pop(key, None)
            raise failure.surface_error(method) from error
        found = await self._message_of(sent[0]["id"])
        del self._perhaps[key]
        return found or sent[0]["id"]

    async def find(self, key: PartKey) -> str | None:
        """The message of an upload that this process sent and got no answer to."""
        file_id = self._perhaps.get(key)
        return await self._message_of(file_id) if file_id else None

    async def _send(self, url: str, one: Upload, progress: Progress | None) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        with counted(one.path, progress) as content:  # aiohttp reads it in pieces
            async with self._client.transfer(
                "POST", url, data=content, headers=headers, timeout=TRANSFER
            ) as answer:
                begins = await answer.content.read(len(UPLOADED))
                if answer.status == 413:
                    raise Refused("file upload: HTTP 413")
                if answer.status != 200 or begins != UPLOADED:
                    raise Unreachable(f"file upload: HTTP {answer.status}, not Slack's answer")

    async def _message_of(self, file_id: str) -> str | None:
        """The id of the message that a file was just shared with; None if Slack is slow to say."""
        for poll in range(SHARE_POLLS):
            try:
                found = required(await self._client.files_info(file=file_id), "file")
            except SDK_ERRORS as error:
                if Failure.of(error).refused:
                    return None
            else:
                for places in (found.get("shares") or {}).values():
                    for share in places.get(self._address.channel, []):
                        return str(share["ts"])
            await asyncio.sleep(SHARE_INTERVAL * poll)
        return None


async def fetch(workspace: Workspace, client: Client, file: RemoteFile, to: Path, max_bytes: int) -> None:
    """Download a person's file to `to`; on any error nothing is left there.

    :raises Refused: too large, deleted, not on Slack's own hosts, or the scope is missing.
    :raises Unreachable: whatever else came in place of the file.
    """
    if workspace.lacks("files:read"):
        raise Refused(f"file {file.id}: missing_scope (needs the scope files:read)")
    if file.size > max_bytes:
        raise Refused(f"file {file.id} has {file.size} bytes")
    url = file.url or await _url_of(client, file)
    for _ in range(REDIRECTS + 1):
        if not is_slacks_own(url, workspace.settings):
            raise Refused(f"file {file.id} isn't on Slack's own hosts")
        headers = {"Authorization": f"Bearer {workspace.token}"}
        async with client.transfer("GET", url, headers=headers, timeout=TRANSFER) as answer:
            if answer.status not in REDIRECTED:
                _check(answer, file, max_bytes)
                await save(answer.content.iter_chunked(CHUNK), to, max_bytes, what=f"file {file.id}")
                return
            url = urljoin(url, answer.headers.get("Location", ""))
    raise Refused(f"file {file.id}: more than {REDIRECTS} redirects")


def is_slacks_own(url: str, settings: SlackSettings) -> bool:
    """Whether the token may be sent there: to Slack's own hosts, or to the one that `api_url` names instead."""
    target, api = _split(url), _split(settings.api_url)
    if target is None or api is None:
        return False
    host, api_host = target.hostname or "", api.hostname or ""
    if _is_slack(api_host):
        return target.scheme == "https" and _is_slack(host)
    return (target.scheme, target.netloc) == (api.scheme, api.netloc)


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _is_slack(host: str) -> bool:
    return host == "slack.com" or host.endswith(".slack.com")


async def _url_of(client: Client, file: RemoteFile) -> str:
    """Files of another organisation arrive without an address: it has to be asked for."""
    try:
        found = required(await client.files_info(file=file.id), "file")
    except SDK_ERRORS as error:
        raise Failure.of(error).surface_error("files.info") from error
    return str(found.get("url_private_download") or found.get("url_private") or "")


def _check(answer: aiohttp.ClientResponse, file: RemoteFile, max_bytes: int) -> None:
    if answer.status in NO_SUCH_FILE:
        raise Refused(f"file {file.id}: HTTP {answer.status}")
    if answer.status != 200:
        raise Unreachable(f"file {file.id}: HTTP {answer.status}")
    if answer.content_type == "text/html" and file.media_type != "text/html":
        raise Unreachable(f"file {file.id}: a sign-in page came in its place")
    if (answer.content_length or 0) > max_bytes:
        raise Refused(f"file {file.id} has {answer.content_length} bytes")
