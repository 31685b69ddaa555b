"""The files of a conversation: which there are, under which names, and how they are fetched."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.base import Chart, ChartKind, Done, File, Series, Table, Text, Unavailable
from bridge.commands import CommandName
from bridge.inbound import Person, RemoteFile
from bridge.render.selection import Selection
from bridge.store.database import Database
from bridge.turns import shelf
from bridge.turns.inbox import Listing, Order
from bridge.turns.links import Linked, Links
from bridge.turns.progress import Progress, counted
from bridge.turns.surface import Upload
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound

ANN = Person("U1", "Ann")
PIECE = b"x" * 100_000


class Archive(ScriptedAgent):
    """Lists and gives files; counts how often it is asked, and how much of a file was taken."""

    away = False
    pieces = 3
    listed = 0
    taken = 0

    async def files(self, conversation: str) -> Sequence[File]:
        self.listed += 1
        if self.away:
            raise Unavailable("away")
        given = File("../../etc/notes.txt", "given", size=7)
        return [given, File("notes.txt", "later"), File("big.bin", "big", size=10**9)]

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        if self.away:
            raise Unavailable("away")
        for _ in range(self.pieces):
            self.taken += 1
            yield PIECE


def order(name: CommandName, argument: str = "") -> Order:
    return Order(name, ANN, HERE, argument)


@asynccontextmanager
async def answered(database: Database, agent: ScriptedAgent) -> AsyncIterator[Bridge]:
    """A thread with one answer."""
    platform = MemoryPlatform()
    async with running(Bridge(database, platform, agent)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        await eventually(lambda: not bridge.runner._held)
        yield bridge


def names(listing: Listing) -> list[str]:
    return [one.name for one in listing.files]


SCRIPT = (Table("../sales", ("month", "sum"), (("May", 1), ("June", "=2"))), File("old.txt", "old"), Done("Here."))


async def test_what_the_service_lists_and_what_our_own_record_has(quick: Database) -> None:
    agent = Archive(Backend(SCRIPT))
    async with answered(quick, agent) as bridge:
        listing = await bridge.intake.files(order("files"))
        assert names(listing) == ["notes.txt", "notes (2).txt", "big.bin", "sales.csv", "old.txt"]
        assert listing.files[0].size == 7
        assert listing.address == HERE
        asked = agent.listed
        await bridge.intake.files(order("files"))
        assert agent.listed == asked, "who types a name asks with each letter"


async def test_our_own_record_serves_while_the_service_is_away(quick: Database) -> None:
    agent = Archive(Backend(SCRIPT))
    async with answered(quick, agent) as bridge:
        agent.away = True
        assert names(await bridge.intake.files(order("files"))) == ["sales.csv", "old.txt"]
        async with bridge.intake.download(order("download", "sales.csv"), 1_000, Progress()) as found:
            assert isinstance(found, Upload)
            assert found.path.read_bytes() == b"\xef\xbb\xbfmonth,sum\r\nMay,1\r\nJune,'=2\r\n"
            assert found.media_type == "text/csv"
        async with bridge.intake.download(order("download", "old.txt"), 10**6, Progress()) as found:
            assert found == shelf.NOT_HAD


async def test_a_chart_is_had_as_its_numbers(quick: Database) -> None:
    chart = Chart("plan", ChartKind.LINE, ("May", "June"), (Series("north", (1, None)),))
    async with answered(quick, ScriptedAgent(Backend([Text("Here."), chart, Done()]))) as bridge:
        assert names(await bridge.intake.files(order("files"))) == ["plan.csv"]
        async with bridge.intake.download(order("download", "plan.csv"), 1_000, Progress()) as found:
            assert isinstance(found, Upload)
            assert found.path.read_bytes() == b"\xef\xbb\xbf,north\r\nMay,1\r\nJune,\r\n"


async def test_a_file_is_on_disk_as_long_as_it_is_needed(quick: Database) -> None:
    agent = Archive(Backend())
    async with answered(quick, agent) as bridge:
        async with bridge.intake.download(order("download", "notes (2).txt"), 10**6, Progress()) as found:
            assert isinstance(found, Upload)
            assert (found.name, found.size, found.path.stat().st_size) == ("notes (2).txt", 300_000, 300_000)
            path: Path = found.path
        assert not path.exists()
        assert not path.parent.exists()


async def test_one_that_is_too_large_is_not_fetched_to_its_end(quick: Database) -> None:
    agent = Archive(Backend())
    agent.pieces = 1_000
    async with answered(quick, agent) as bridge:
        async with bridge.intake.download(order("download", "big.bin"), 2**20, Progress()) as found:
            assert found == shelf.TOO_LARGE.format(limit=1)
        assert agent.taken == 0, "its size was known"
        async with bridge.intake.download(order("download", "notes.txt"), 2**20, Progress()) as found:
            assert found == shelf.TOO_LARGE.format(limit=1)
        assert agent.taken == 11


@pytest.mark.parametrize("name", ["", "../notes.txt", "nothing.txt"])
async def test_a_name_that_nothing_has(quick: Database, name: str) -> None:
    async with (
        answered(quick, Archive(Backend())) as bridge,
        bridge.intake.download(order("download", name), 10**6, Progress()) as found,
    ):
        assert found == shelf.NO_SUCH


async def test_an_agent_without_files(quick: Database) -> None:
    async with answered(quick, ScriptedAgent(Backend())) as bridge:
        listing = await bridge.intake.files(order("files"))
        assert (listing.files, listing.sentence) == ((), shelf.NO_FILES)


async def test_files_that_would_not_arrive_are_refused_before(quick: Database) -> None:
    def files(*sizes: int) -> list[RemoteFile]:
        return [RemoteFile(str(number), f"../{number}.bin", "", size, "") for number, size in enumerate(sizes)]

    async with running(Bridge(quick, MemoryPlatform(), None, max_attachment_bytes=2**20)) as bridge:
        assert await bridge.intake.refusal(HERE, files(*[2**20] * 20)) == ""
        assert "at most 20 files" in await bridge.intake.refusal(HERE, files(*[1] * 21))
        assert await bridge.intake.refusal(HERE, files(1, 2**20 + 1)) == "Larger than the 1 MB that I take: 1.bin."


# --- columns and order, and what is too large ------------------------------------------------------------------

KEY = SecretStr("k" * 32)


async def test_a_table_comes_with_the_columns_and_in_the_order_that_are_wanted(quick: Database) -> None:
    table = Table("sales", ("month", "sum"), (("May", 1), ("June", 3), ("July", 2)))
    async with answered(quick, Archive(Backend((table, Done("Here."))))) as bridge:
        wanted = replace(order("download", "sales.csv"), selection=Selection("SUM, month", "-sum"))
        async with bridge.intake.download(wanted, 1_000, Progress()) as found:
            assert isinstance(found, Upload)
            assert found.path.read_bytes() == b"\xef\xbb\xbfsum,month\r\n3,June\r\n2,July\r\n1,May\r\n"
        wrong = replace(wanted, selection=Selection("total"))
        async with bridge.intake.download(wrong, 1_000, Progress()) as found:
            assert found == "There is no column `total` in that table. It has `month`, `sum`."
        no_table = replace(wanted, argument="notes.txt")
        async with bridge.intake.download(no_table, 1_000, Progress()) as found:
            assert found == shelf.NO_TABLE.format(name="notes.txt")
        async with bridge.intake.download(order("download", "sales.csv"), 10, Progress()) as found:
            assert found == shelf.TABLE_TOO_LARGE.format(limit=0)


@pytest.mark.parametrize(("name", "ref"), [("big.bin", "big"), ("notes.txt", "given")])
async def test_what_is_too_large_has_a_link_where_there_are_links(quick: Database, name: str, ref: str) -> None:
    """Whether its size was known, or it turned out on the way."""
    agent, platform = Archive(Backend()), MemoryPlatform()
    agent.pieces = 100
    links = Links("https://bridge.example.com", KEY, 24)
    async with running(Bridge(quick, platform, agent, links=links)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        async with bridge.intake.download(order("download", name), 2**20, Progress()) as found:
            assert isinstance(found, str)
    [token] = re.findall(r"https://bridge\.example\.com/files/([^>]+)>", found)
    assert links.read(token) == Linked("support", "conv", ref, name, "slack:U1")


async def test_kinds_that_the_agent_does_not_take_are_refused_before(quick: Database) -> None:
    class Picky(ScriptedAgent):
        def accepts(self, name: str, media_type: str, size: int) -> str:
            return "" if name.endswith(".txt") else f"No {name}, please."

    def file(name: str) -> RemoteFile:
        return RemoteFile("1", name, "", 1, "")

    async with running(Bridge(quick, MemoryPlatform(), Picky(Backend()))) as bridge:
        for there in (HERE, replace(HERE, thread="")):
            assert await bridge.intake.refusal(there, [file("a.txt")]) == ""
            assert await bridge.intake.refusal(there, [file("a.txt"), file("../b.exe")]) == "No b.exe, please."


async def test_how_far_a_file_is_can_be_seen(quick: Database) -> None:
    progress = Progress()
    async with (
        answered(quick, Archive(Backend())) as bridge,
        bridge.intake.download(order("download", "notes (2).txt"), 10**6, progress) as found,
    ):
        assert isinstance(found, Upload)
        assert (progress.name, progress.total, progress.moved) == ("notes (2).txt", None, 300_000)
        progress.sends(found.size)
        with counted(found.path, progress) as content:
            content.read(100_000)
            assert 100_000 <= progress.moved < 300_000
            while content.read(65_536):
                pass
        assert (progress.total, progress.moved, progress.going_out) == (300_000, 300_000, True)
