"""Files' names on the way in and out, and addresses that have expired."""

from __future__ import annotations

import mimetypes
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.testing.serving import serve
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.files import Downloads, FileId, form_of, has_expired
from bridge.frontends.discord.surface import DiscordSurface
from bridge.inbound import Address, Person, RemoteFile
from bridge.playground.discord import DiscordWorld, create_app
from bridge.turns.surface import Gone, PartKey, PartKind, Refused, Unreachable, Upload
from tests.frontends.discord.running import MemoryInbox, eventually
from tests.turns.world import unguarded

KEY = PartKey("0123456789abcdef", PartKind.FILE)
FILES = "GET /attachments/*/*/*"
MESSAGE = "GET /channels/*/messages/*"


@pytest.fixture
def direct(world: DiscordWorld, front: DiscordFrontEnd) -> DiscordSurface:
    channel = str(world.direct("ada").id)
    return front.surface(Address("discord", "", channel, channel), person=Person("1"), guard=unguarded)


async def attached(world: DiscordWorld, inbox: MemoryInbox, name: str, data: bytes = b"data") -> RemoteFile:
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    await world.say("ada", world.direct("ada").id, "look", [(name, media_type, data)])
    await eventually(lambda: inbox.turns)
    return inbox.turns[-1].files[0]


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "notes.txt",
            "日本語.txt",
            "報告 2026.csv",
            "Übersicht.md",
            "no suffix",
            "日本",
            "a.b.c",
            f"{'報' * 84}.pdf",
        ],
    )
    async def test_a_person_s_file_has_the_name_that_they_gave_it(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, name: str
    ) -> None:
        file = await attached(world, inbox, name)
        assert file.name in (name, name.replace(" ", "_"))

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("report.csv", None),
            ("報告.csv", "報告"),
            ("Übersicht 2026.md", "Übersicht 2026"),
            (f"{'報' * 300}.pdf", None),
            ("a\ud800b.txt", None),
            ("<@1> @everyone.txt", None),
            ("../../etc/passwd", None),
        ],
    )
    async def test_a_file_of_the_agent_is_shown_by_its_name(
        self, world: DiscordWorld, direct: DiscordSurface, tmp_path: Path, name: str, title: str | None
    ) -> None:
        path = tmp_path / "f0"
        path.write_bytes(b"data")
        await direct.upload(KEY, [Upload(name, path, "text/plain", 4)])
        (file,) = world.messages(world.direct("ada").id)[-1].attachments
        assert world.bytes_of(file) == b"data"
        assert file.name.isascii()
        if title is not None or name == "report.csv":
            assert file.title == title
        assert "/" not in f"{file.title}{file.name}"

    @given(st.text(max_size=300))
    def test_any_name_goes_into_a_form(self, name: str) -> None:
        path = Path(__file__)
        with ExitStack() as closing:
            form, files = form_of({"content": "x"}, [Upload(name, path, "text/plain", 1)], closing)
        assert [file.filename for file in files] == [form[1]["filename"]]
        assert form[1]["filename"].isascii()
        assert 0 < len(form[1]["filename"].encode()) <= 255
        form[0]["value"].encode()


class TestExpiredAddresses:
    def expired(self, file: RemoteFile) -> RemoteFile:
        return RemoteFile(
            file.id, file.name, file.media_type, file.size, f"{file.url.partition('?')[0]}?ex=1&hm=0"
        )

    async def test_one_that_says_so_is_renewed_before_it_is_used(
        self, world: DiscordWorld, inbox: MemoryInbox, direct: DiscordSurface, tmp_path: Path
    ) -> None:
        file = self.expired(await attached(world, inbox, "notes.txt"))
        await direct.fetch(file, tmp_path / "a", 10)
        assert (tmp_path / "a").read_bytes() == b"data"
        assert [call.status for call in world.calls(FILES)] == [200]

    @pytest.mark.parametrize("status", [403, 404, 410])
    async def test_one_that_turns_out_so_is_renewed_once(
        self, world: DiscordWorld, inbox: MemoryInbox, direct: DiscordSurface, tmp_path: Path, status: int
    ) -> None:
        file = await attached(world, inbox, "notes.txt")
        world.faults.break_down(FILES, status)
        await direct.fetch(file, tmp_path / "a", 10)
        assert (tmp_path / "a").read_bytes() == b"data"
        world.faults.break_down(FILES, status, times=5)
        with pytest.raises(Gone):
            await direct.fetch(file, tmp_path / "b", 10)
        assert [call.status for call in world.calls(FILES)] == [status, 200, status, status]

    async def test_it_is_renewed_once_only(
        self, world: DiscordWorld, inbox: MemoryInbox, direct: DiscordSurface, tmp_path: Path
    ) -> None:
        file = self.expired(await attached(world, inbox, "notes.txt"))
        world.faults.break_down(FILES, 404, times=5)
        with pytest.raises(Gone):
            await direct.fetch(file, tmp_path / "a", 10)
        assert len(world.calls(MESSAGE)) == len(world.calls(FILES)) == 1

    async def test_of_a_message_that_was_deleted_nothing_is_had(
        self, world: DiscordWorld, inbox: MemoryInbox, direct: DiscordSurface, tmp_path: Path
    ) -> None:
        file = self.expired(await attached(world, inbox, "notes.txt"))
        await world.delete("ada", world.direct("ada").id, int(inbox.turns[-1].message_id))
        with pytest.raises(Gone):
            await direct.fetch(file, tmp_path / "a", 10)
        assert not world.calls(FILES)

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://cdn.discordapp.com/a?ex=1", True),
            ("https://cdn.discordapp.com/a?ex=ffffffff", False),
            ("https://cdn.discordapp.com/a?ex=soon", False),
            ("https://cdn.discordapp.com/a", False),
            ("https://[", False),
        ],
    )
    def test_what_an_address_says_of_itself(self, url: str, expected: bool) -> None:
        assert has_expired(url) is expected

    @pytest.mark.parametrize("written", ["", "1", "1/2", "1/2/3/4", "a/b/c", "1/2/-3", "1//3"])
    def test_other_ids_name_no_message(self, written: str) -> None:
        assert FileId.read(written) is None
        assert FileId.read("1/2/3") == FileId(1, 2, 3)


class TestOrigins:
    async def test_those_of_the_settings_are_asked_and_no_others(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, tmp_path: Path
    ) -> None:
        file = await attached(world, inbox, "notes.txt")
        async with serve(create_app(world)) as elsewhere:
            url = elsewhere + file.url.removeprefix(world.base_url)
            there = RemoteFile(file.id, file.name, file.media_type, file.size, url)
            closed, opened = Downloads("https://discord.example/api"), Downloads("https://a.example", [elsewhere])
            with pytest.raises(Refused):
                await closed.fetch(there, tmp_path / "a", 10, unguarded)
            await opened.fetch(there, tmp_path / "a", 10, unguarded)
            await closed.close()
            await opened.close()
        assert (tmp_path / "a").read_bytes() == b"data"

    @pytest.mark.parametrize(("status", "expected"), [(302, Refused), (418, Unreachable), (503, Unreachable)])
    async def test_any_other_answer(
        self,
        world: DiscordWorld,
        inbox: MemoryInbox,
        front: DiscordFrontEnd,
        tmp_path: Path,
        status: int,
        expected: type[Exception],
    ) -> None:
        file = await attached(world, inbox, "notes.txt")
        world.faults.break_down(FILES, status)
        with pytest.raises(expected):
            await front.downloads.fetch(file, tmp_path / "a", 10, unguarded)
