"""A whole set of turns on both platforms with texts encrypted: nothing of them is in the database, and all works."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from adapters.testing.backends import faults
from bridge.settings import DataSettings
from bridge.store.database import Database, open_database
from bridge.store.ledger import Ledger, Record
from bridge.store.tables import Turn
from bridge.turns.under_reply import THANKS
from tests.e2e.people import People, Shown, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually
from tests.store.keys import bytes_of, key

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]

MARKED = "Zanzibar"
LONG = 5  # characters
WORDS = ("text", "person_name", "answer", "notice", "settled", "detail", "steps", "heard", "edited")


def private(people: People, who: str, words: str) -> Shown | None:
    return next((one for one in people.private(who) if words in one.text), None)


async def test_no_word_of_anybody_is_in_the_database(
    town: Town, people: People, platform: str, database: Path
) -> None:
    data = DataSettings(keys=[key(1)], encrypt_text=True)
    settings = settings_for(town, platform, database).model_copy(update={"data": data})
    async with serving(settings, people):
        thread = await people.say("ada", "openai", f"@threadbridge first {MARKED}")
        await at_rest(database, 1)
        asked = await people.say("ada", "agentok", "@threadbridge ask me about the year")
        await at_rest(database, 2)
        file = (f"{MARKED}.txt", "text/plain", b"content")
        await people.say("ada", "sema4ai", "@threadbridge a table", [file])
        await at_rest(database, 3)
        town.backend("toqan").faults.add("create", faults.refuse(401))
        await people.say("grace", "toqan", f"@threadbridge fails {MARKED}")
        await at_rest(database, 4)
        rated = await people.say("ada", "fifthelement", f"@threadbridge rated {MARKED}?")
        await at_rest(database, 5)
        await people.press("ada", people.shown(rated)[-1], "Bad answer")
        thanks = await eventually(lambda: private(people, "ada", THANKS))
        await people.fill_in("ada", thanks, "Add a word", f"wrong {MARKED}")
        await eventually(lambda: any(words for (words,) in rows(database, "SELECT words FROM feedback")))
        held = bytes_of(database)
    async with serving(settings, people):  # all of it is read again
        await people.reply("ada", thread, f"second {MARKED}")
        await people.reply("ada", asked, f"2024 {MARKED}")
        await at_rest(database, 7)
        held += bytes_of(database)
    assert f"You said: “2024 {MARKED}”." in text_of(people.shown(asked))
    assert "so this is question 2" in people.shown(thread)[-1].text
    encryption = settings.data.encryption
    async with open_database(f"sqlite:///{database}", encryption=encryption) as opened:
        records = await Ledger(opened).turns(state=None, thread=None, limit=20)
        assert sum(MARKED in one.turn.text for one in records) == 5
        assert [one.turn.detail for one in records if one.turn.state == "failed"] > [""]
        assert [one.feedback.words for one in await Ledger(opened).feedback(agent=None, since=None)] == [
            f"wrong {MARKED}"
        ]
        texts = [MARKED, *(words for one in records for words in words_of(one.turn, WORDS))]
        [table] = [one for record in records for one in (await found(opened, record)).artifacts]
    assert len(texts) > 20
    for text in [*texts, table.name]:
        assert text[:30].encode() not in held, text


async def found(database: Database, record: Record) -> Record:
    whole = await Ledger(database).turn(record.turn.id)
    assert whole is not None
    return whole


def words_of(turn: Turn, names: Sequence[str]) -> Sequence[str]:
    """Of the columns that are plain text, what is long enough to stand nowhere else."""
    values = [getattr(turn, name) for name in names]
    return [value for value in values if isinstance(value, str) and len(value) >= LONG]


def rows(database: Path, query: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.execute(query))
