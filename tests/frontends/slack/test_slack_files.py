"""Attachments in and generated files out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from adapters.testing.serving import serve
from bridge.frontends.slack.files import is_slacks_own
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person, RemoteFile
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import PartKey, PartKind, Refused, Throttled, Unreachable, Upload
from tests.turns.world import unguarded

FILE_KEY = PartKey("turn000000000001", PartKind.FILE)


@pytest.fixture
def attachment(world: SlackWorld, slack_url: str) -> RemoteFile:
    stored = world.store("plan.txt", "text/plain", b"plan " * 20_000, world.person("ada").id)
    url = f"{slack_url}/files-pri/{world.team_id}-{stored.id}/download/plan.txt"
    return RemoteFile(stored.id, "plan.txt", "text/plain", len(stored.content), url)


def upload_of(tmp_path: Path, name: str = "chart.csv", content: bytes = b"a,b\n1,2\n") -> Upload:
    path = tmp_path / name
    path.write_bytes(content)
    return Upload(name, path, "text/csv", len(content))


@asynccontextmanager
async def redirecting_to(target: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that redirects everything, and the authorizations it was shown."""
    asked: list[str] = []

    async def redirect(request: Request) -> RedirectResponse:
        asked.append(request.headers.get("authorization", ""))
        return RedirectResponse(target, status_code=302)

    async with serve(Starlette(routes=[Route("/{path:path}", redirect)])) as url:
        yield url, asked


# --- in ------------------------------------------------------------------------------------------------------


async def test_an_attachment_arrives_whole(surface: SlackSurface, attachment: RemoteFile, tmp_path: Path) -> None:
    await surface.fetch(attachment, tmp_path / "here", attachment.size)
    assert (tmp_path / "here").read_bytes() == b"plan " * 20_000


async def test_a_file_without_an_address_is_asked_for(
    surface: SlackSurface, attachment: RemoteFile, tmp_path: Path
) -> None:
    bare = RemoteFile(attachment.id, attachment.name, attachment.media_type, attachment.size, "")
    await surface.fetch(bare, tmp_path / "here", attachment.size)
    assert (tmp_path / "here").stat().st_size == attachment.size


@pytest.mark.parametrize("told", [0, 1_000_000_000])
async def test_a_file_that_is_too_large_is_refused_whatever_its_size_was_said_to_be(
    world: SlackWorld, surface: SlackSurface, attachment: RemoteFile, tmp_path: Path, told: int
) -> None:
    liar = RemoteFile(attachment.id, attachment.name, attachment.media_type, told, attachment.url)
    with pytest.raises(Refused):
        await surface.fetch(liar, tmp_path / "here", 1_000)
    assert not (tmp_path / "here").exists()


async def test_the_sign_in_page_is_not_taken_for_the_file(
    world: SlackWorld, surface: SlackSurface, attachment: RemoteFile, tmp_path: Path
) -> None:
    world.scopes.discard("files:read")
    with pytest.raises(Unreachable, match="sign-in page"):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)
    assert not (tmp_path / "here").exists()


async def test_without_the_scope_no_file_is_waited_for(
    world: SlackWorld, workspace: Workspace, surface: SlackSurface, attachment: RemoteFile, tmp_path: Path
) -> None:
    workspace.identify(workspace.me, frozenset(world.scopes - {"files:read"}))
    with pytest.raises(Refused, match="files:read"):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)
    assert world.calls("files.download") == []


@pytest.mark.parametrize("status", [500, 502, 503, 403, 418])
async def test_a_host_that_does_not_give_the_file_may_give_it_later(
    world: SlackWorld, surface: SlackSurface, attachment: RemoteFile, tmp_path: Path, status: int
) -> None:
    world.faults.break_down("files.download", status)
    with pytest.raises(Unreachable):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)


async def test_a_file_that_is_deleted_is_not_waited_for(
    world: SlackWorld, surface: SlackSurface, attachment: RemoteFile, tmp_path: Path
) -> None:
    del world.files[attachment.id]
    with pytest.raises(Refused):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)


async def test_a_download_that_breaks_can_be_tried_again(
    world: SlackWorld, surface: SlackSurface, attachment: RemoteFile, tmp_path: Path
) -> None:
    world.faults.break_down("files.download", 503)
    with pytest.raises(Unreachable):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)
    world.faults.hang_up("files.download", times=2)  # aiohttp itself repeats a GET once
    with pytest.raises(Unreachable):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)
    world.faults.throttle("files.download", 3)
    with pytest.raises(Throttled):
        await surface.fetch(attachment, tmp_path / "here", attachment.size)
    await surface.fetch(attachment, tmp_path / "here", attachment.size)


async def test_a_file_on_a_foreign_host_is_not_asked_for(
    surface: SlackSurface, attachment: RemoteFile, tmp_path: Path
) -> None:
    async with redirecting_to(attachment.url) as (url, asked):
        foreign = RemoteFile("F1", "a", "text/plain", 1, f"{url}/a")
        with pytest.raises(Refused, match="hosts"):
            await surface.fetch(foreign, tmp_path / "here", 1_000)
    assert asked == []


async def test_a_redirect_to_a_foreign_host_is_not_followed(
    world: SlackWorld, attachment: RemoteFile, address: Address, tmp_path: Path
) -> None:
    async with redirecting_to(attachment.url) as (url, asked):
        settings = SlackSettings(
            bot_token=SecretStr(world.bot_token), app_token=SecretStr("xapp-1"), api_url=f"{url}/api/"
        )
        workspace = Workspace(settings)
        surface = SlackSurface(workspace, address, person=Person("U1"), guard=unguarded)
        async with workspace.connections():
            with pytest.raises(Refused, match="hosts"):
                await surface.fetch(RemoteFile("F1", "a", "text/plain", 1, f"{url}/a"), tmp_path / "here", 1_000)
    assert asked == [f"Bearer {world.bot_token}"]
    assert world.calls("files.download") == []


async def test_redirects_come_to_an_end(world: SlackWorld, address: Address, tmp_path: Path) -> None:
    async with redirecting_to("/again") as (url, asked):
        settings = SlackSettings(
            bot_token=SecretStr(world.bot_token), app_token=SecretStr("xapp-1"), api_url=f"{url}/api/"
        )
        workspace = Workspace(settings)
        surface = SlackSurface(workspace, address, person=Person("U1"), guard=unguarded)
        async with workspace.connections():
            with pytest.raises(Refused, match="redirects"):
                await surface.fetch(RemoteFile("F1", "a", "text/plain", 1, f"{url}/a"), tmp_path / "here", 1_000)
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("api_url", "url", "own"),
    [
        ("https://slack.com/api/", "https://files.slack.com/a", True),
        ("https://slack.com/api/", "https://acme.enterprise.slack.com/a", True),
        ("https://slack.com/api/", "https://slack.com/a", True),
        ("https://slack.com/api/", "http://files.slack.com/a", False),
        ("https://slack.com/api/", "https://evilslack.com/a", False),
        ("https://slack.com/api/", "https://slack.com.evil.example/a", False),
        ("https://slack.com/api/", "https://slack.com@evil.example/a", False),
        ("https://slack.com/api/", "https://docs.example/a", False),
        ("https://slack.com/api/", "", False),
        ("http://127.0.0.1:9/api/", "http://127.0.0.1:9/a", True),
        ("http://127.0.0.1:9/api/", "http://127.0.0.1:10/a", False),
        ("http://127.0.0.1:9/api/", "https://files.slack.com/a", False),
    ],
)
def test_slacks_own_hosts(api_url: str, url: str, own: bool) -> None:
    settings = SlackSettings(bot_token=SecretStr("xoxb-1"), app_token=SecretStr("xapp-1"), api_url=api_url)
    assert is_slacks_own(url, settings) is own


# --- out -----------------------------------------------------------------------------------------------------


async def test_files_go_into_the_thread_as_one_message(
    world: SlackWorld, surface: SlackSurface, root: str, tmp_path: Path
) -> None:
    uploads = [upload_of(tmp_path), upload_of(tmp_path, "notes.txt", b"notes")]
    ts = await surface.upload(FILE_KEY, uploads, "**Two** files & <!channel>")
    (message,) = world.thread("general", root)[1:]
    assert message.ts == ts
    assert [(file.name, file.content) for file in message.files] == [
        ("chart.csv", b"a,b\n1,2\n"),
        ("notes.txt", b"notes"),
    ]
    assert message.text.startswith("*Two* files")
    assert world.pings == []


async def test_an_upload_that_nobody_knows_the_fate_of_is_found(
    world: SlackWorld, surface: SlackSurface, root: str, tmp_path: Path
) -> None:
    text = await surface.post(PartKey(FILE_KEY.turn, PartKind.TEXT, 0), "Here it comes", last=False)
    world.faults.break_down("files.completeUploadExternal", after=True)
    with pytest.raises(Unreachable):
        await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    found = await surface.find(FILE_KEY, after=root, known=())
    assert found not in (None, text)
    assert world.message("general", found or "").files
    assert await surface.find(PartKey(FILE_KEY.turn, PartKind.TEXT, 1), after=root, known=[text]) is None


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.upload", "files.completeUploadExternal"])
async def test_a_broken_upload_shows_nothing_and_can_be_repeated(
    world: SlackWorld, surface: SlackSurface, root: str, tmp_path: Path, method: str
) -> None:
    world.faults.break_down(method, 503)
    with pytest.raises(Unreachable):
        await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    assert await surface.find(FILE_KEY, after=root, known=()) is None
    await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    assert len(world.thread("general", root)) == 2


async def test_a_throttled_upload_says_for_how_long(
    world: SlackWorld, surface: SlackSurface, tmp_path: Path
) -> None:
    world.faults.throttle("files.upload", 4)
    with pytest.raises(Throttled) as caught:
        await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    assert caught.value.retry_after == 4


async def test_an_upload_host_that_is_not_slacks_is_no_reason_to_give_up(
    world: SlackWorld, surface: SlackSurface, root: str, tmp_path: Path
) -> None:
    world.faults.break_down("files.upload", 403)
    with pytest.raises(Unreachable):
        await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    world.faults.break_down("files.upload", 200)  # a sign-in page
    with pytest.raises(Unreachable):
        await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    await surface.upload(FILE_KEY, [upload_of(tmp_path)])
    assert len(world.thread("general", root)) == 2


@pytest.mark.parametrize("kind", [PartKind.ANSWER, PartKind.FILE, PartKind.TABLE])
async def test_an_upload_that_shows_late_is_found_before_it_is_repeated(
    world: SlackWorld, surface: SlackSurface, root: str, tmp_path: Path, kind: PartKind
) -> None:
    key = PartKey(FILE_KEY.turn, kind)
    world.share_after = 2  # looks: Slack shares the files only after it has answered
    world.faults.break_down("files.completeUploadExternal", after=True)
    with pytest.raises(Unreachable):
        await surface.upload(key, [upload_of(tmp_path)])
    assert len(world.thread("general", root)) == 1
    found = await surface.find(key, after=root, known=())
    assert [message.ts for message in world.thread("general", root)[1:]] == [found]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("report.csv", "report.csv"),
        ("<!channel>.csv", "<\u200b!channel>.csv"),
        ("@here <@U123>", "@\u200bhere <\u200b@U123>"),
        ("表" * 200 + ".csv", "表" * 83 + ".csv"),
        ("x" * 300, "x" * 255),
        ("🧵" * 100, "🧵" * 63),
    ],
    ids=["plain", "everyone", "someone", "many bytes", "no ending", "many bytes, no ending"],
)
async def test_a_files_name_mentions_nobody_and_fits(
    world: SlackWorld, surface: SlackSurface, tmp_path: Path, name: str, sent: str
) -> None:
    upload = upload_of(tmp_path)
    await surface.upload(FILE_KEY, [Upload(name, upload.path, upload.media_type, upload.size)])
    (call,) = world.calls("files.completeUploadExternal")
    assert [file["title"] for file in json.loads(call.args["files"])] == [sent]
    assert world.calls("files.getUploadURLExternal")[0].args["filename"] == sent
