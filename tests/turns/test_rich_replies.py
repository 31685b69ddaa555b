"""Tables, charts and sources of a reply: each shown once, in the best form there is, and again the same after a
restart."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.base import Chart, ChartKind, Checkpoint, Done, Event, Message, Series, Source, Table, Text
from bridge.inbound import Address, Person
from bridge.render.data import Data
from bridge.render.discord import DISCORD
from bridge.store.database import Database
from bridge.turns.surface import Guard, PartKey, PartKind, Refused, Surface, Unreachable
from tests.turns.agents import Backend, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import STYLE, MemoryPlatform, MemorySurface, Posted, inbound, part_name

SALES = Table("sales", ("City", "Units"), (("Zürich", 1234), ("Bern", 5.5), ("Genf", None)))
LONG = Table("long", ("n",), tuple((number,) for number in range(250)))
IN_TEXT = (
    "Here:\n\n| city | Units |\n|---|--:|\n| **Zürich** | 1,234 |\n| Bern | 5.50 |\n| Genf | |\n\nThat's all."
)
CHART = Chart("Sales", ChartKind.BAR, ("Q1", "Q2"), (Series("north", (10, 20)), Series("south", (5, None))))
SOURCES = (Source("https://example.com/a", "First *page*"), Source("javascript:alert(1)", "bad"))


class DrawingSurface(MemorySurface):
    """Shows up to 100 rows natively."""

    def drawable(self, data: Data) -> int:
        return min(len(data.rows), 100)

    async def draw(self, key: PartKey, data: Data) -> str:
        fault = await self._called()
        if fault == "refused":
            raise Refused("invalid_blocks")
        posted = self._add(key, f"[{data.chart or 'table'}: {data.title}]", finished=True)
        if fault == "unheard":
            raise Unreachable("the answer was lost")
        return posted.id


class DrawingPlatform(MemoryPlatform):
    def surface(self, address: Address, *, person: Person, guard: Guard) -> Surface:
        return DrawingSurface(self, guard)


@pytest.fixture
def drawing() -> MemoryPlatform:
    return DrawingPlatform()


async def told(database: Database, platform: MemoryPlatform, *script: Step) -> list[Posted]:
    async with running(Bridge(database, platform, ScriptedAgent(Backend(script)))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done", "failed")
    return platform.messages


def rows_of(message: Posted) -> list[list[str]]:
    [(_, content)] = message.files
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


async def test_a_table_is_drawn_by_the_platform_and_its_file_says_so(
    quick: Database, drawing: MemoryPlatform
) -> None:
    words, drawn, file = await told(quick, drawing, Text("Look:"), LONG, Done())
    assert [words.text, drawn.text] == ["Look:", "[table: long]"]
    assert file.text == "**long**: first 100 of 250 rows"
    assert len(rows_of(file)) == 251


async def test_where_the_platform_refuses_it_a_preview_goes_with_the_file(
    quick: Database, drawing: MemoryPlatform
) -> None:
    drawing.faults = ["", "refused"]
    _, file = await told(quick, drawing, Text("Look:"), SALES, Done())
    assert file.text.startswith("**sales**\n\n| City | Units |")
    assert file.files[0][0] == "sales.csv"


async def test_where_nothing_is_drawn_a_preview_goes_with_the_file(
    quick: Database, platform: MemoryPlatform
) -> None:
    _, file = await told(quick, platform, Text("Look:"), SALES, Done())
    assert "| Zürich | 1234 |" in file.text


async def test_a_drawing_whose_answer_was_lost_is_not_posted_twice(
    quick: Database, drawing: MemoryPlatform
) -> None:
    drawing.faults = ["", "unheard"]
    messages = await told(quick, drawing, Text("Look:"), SALES, Done())
    assert [part_name(one.key) for one in messages] == ["0", "d0", "t0"]


async def test_a_table_that_the_text_shows_comes_as_a_file_alone(quick: Database, drawing: MemoryPlatform) -> None:
    words, file = await told(quick, drawing, Text(IN_TEXT), SALES, Done())
    assert "| Bern |" in words.text
    assert file.text == "**sales**: 3 rows"
    assert rows_of(file)[1] == ["Zürich", "1234"]


async def test_the_same_table_again_is_left_out(quick: Database, drawing: MemoryPlatform) -> None:
    messages = await told(quick, drawing, Text("Look:"), SALES, SALES, LONG, Done())
    assert [part_name(one.key) for one in messages] == ["0", "d0", "t0", "d2", "t2"]


async def test_a_chart_is_drawn_and_its_numbers_come_as_a_file(quick: Database, drawing: MemoryPlatform) -> None:
    _, drawn, file = await told(quick, drawing, Text("Look:"), CHART, Done())
    assert drawn.text == "[bar: Sales]"
    assert file.files[0][0] == "Sales.csv"
    assert rows_of(file) == [["", "north", "south"], ["Q1", "10", "5"], ["Q2", "20", ""]]


async def test_where_no_chart_is_drawn_it_is_made_of_text(quick: Database) -> None:
    platform = MemoryPlatform(style=replace(STYLE, dialect=DISCORD))
    _, file = await told(quick, platform, Text("Look:"), CHART, Done())
    assert file.text.startswith("**Sales**\n\n```\nQ1\nnorth ████████████ 10\n")
    assert "south –" in file.text


async def test_after_a_restart_the_stored_chart_is_drawn_without_the_agent(
    database: Database, drawing: MemoryPlatform
) -> None:
    backend = Backend([Text("Look:"), CHART, Done()])
    drawing.faults = ["", *["lost"] * 1_000]
    async with running(Bridge(database, drawing, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("replying")
    drawing.faults = []
    async with running(Bridge(database, drawing, None, replica="r2")) as bridge:
        await bridge.until_state("done")
    assert [one.text for one in drawing.messages] == ["Look:", "[bar: Sales]", "**Sales**: 2 rows"]


# --- sources ------------------------------------------------------------------------------------------------


class Remembering(ScriptedAgent):
    """Is told what was said before."""

    remembers = 5

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.told: list[tuple[str, ...]] = []

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        self.told.append(tuple(exchange.answer for exchange in message.history))
        async for event in super().ask(conversation, message, resume=resume):
            yield event


async def test_sources_stand_below_the_answer_and_its_markers_lead_there(
    quick: Database, platform: MemoryPlatform
) -> None:
    [reply] = await told(quick, platform, Text("It is so [1], or not [2]."), Done(sources=SOURCES))
    assert reply.text == (
        "It is so [\\[1\\]](https://example.com/a), or not [2].\n\n"
        "**Sources**\n\n1. [First \\*page\\*](https://example.com/a)\n2. bad"
    )


async def test_an_answer_is_remembered_without_its_sources(quick: Database, platform: MemoryPlatform) -> None:
    agent = Remembering(Backend([Text("It is so [1]."), Done(sources=SOURCES)]))
    async with running(Bridge(quick, platform, agent)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        await bridge.intake.take(inbound(2))
        await bridge.until_state("done")
    assert agent.told == [(), ("It is so [1].",)]


async def test_a_restart_shows_the_same_sources_in_the_same_message(
    database: Database, platform: MemoryPlatform
) -> None:
    """It dies with the conclusion stored and the last words not out."""
    backend = Backend([Text("It is so [1]."), Done(sources=SOURCES)])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        platform.faults = ["", *["lost"] * 1_000]
        await bridge.intake.take(inbound(1))
        await bridge.until_state("replying")
    platform.faults = []
    async with running(Bridge(database, platform, None, replica="r2")) as bridge:
        await bridge.until_state("done")
    [reply] = platform.messages
    assert reply.text.endswith("1. [First \\*page\\*](https://example.com/a)\n2. bad")
    assert reply.text.count("**Sources**") == 1
    assert backend.asked == ["question 1"]


def test_a_drawing_is_a_part_of_its_own() -> None:
    assert not PartKind.DRAWN.is_upload
