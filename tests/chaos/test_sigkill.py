"""The process is killed at the worst moments and started again: asked once, the reply whole and once, or the
person decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.base import Uncertain
from tests.chaos import trouble
from tests.e2e.people import People, Thread, text_of
from tests.e2e.running import at_rest, running
from tests.e2e.town import BACKENDS, Town

pytestmark = pytest.mark.slow

LAST_WORDS = "or send me a file."
STREAMED = ("sema4ai", "openai", "a2a")  # from the first question on
# Whoever has a history can be asked for what became of a question, if the conversation was known before.
KNOW_WHAT_ARRIVED = ("sema4ai", "enthusiast", "agentok")

Threads = Mapping[str, Thread]


async def begin(people: People, agents: tuple[str, ...]) -> Threads:
    return {agent: await people.say("ada", agent, "@threadbridge what now?") for agent in agents}


UNDER_AN_ANSWER = {"Regenerate", "Good answer", "Bad answer", "Files"}


def asked(town: Town, agent: str) -> int:
    return town.backend(agent).count()


def check_whole(people: People, thread: Thread, question: str = "what now?", reply: int = 0) -> None:
    """The reply stands in the thread, finished and once."""
    shown = people.shown(thread)
    whole = text_of(shown)
    assert whole.count(f"You asked: “{question}”.") == 1
    assert shown[reply].text.startswith(f"You asked: “{question}”.")
    assert shown[reply].text.endswith(LAST_WORDS)
    assert not any(message.growing or set(message.buttons) - UNDER_AN_ANSWER for message in shown)


def is_asked_about(people: People, thread: Thread) -> bool:
    """The person is asked whether to send the question again, and nothing else stands there."""
    *before, last = people.shown(thread)
    if not set(last.buttons) - UNDER_AN_ANSWER:
        return False
    assert list(last.buttons) == ["Send it again", "Leave it"]
    assert last.text == Uncertain.sentence
    assert not any(message.growing for message in before)
    return True


@pytest.mark.parametrize("arrived", [False, True], ids=["on its way", "arrived"])
async def test_killed_while_the_question_is_asked(
    town: Town, people: People, config: Path, database: Path, arrived: bool
) -> None:
    # These two look for a question for long before they are sure that it isn't there.
    patient = () if arrived else ("enthusiast", "agentok")
    agents = tuple(agent for agent in BACKENDS if agent not in patient)
    trouble.stall_questions(town, agents, after=arrived)
    async with running(config, people) as process:
        threads = await begin(people, agents)
        await process.until(lambda: trouble.stalled(town, agents))
        await process.kill()
    trouble.mend(town)
    assert {asked(town, agent) for agent in agents} == {int(arrived)}

    async with running(config, people):
        await at_rest(database, len(threads))
    for agent, thread in threads.items():
        if is_asked_about(people, thread):
            assert asked(town, agent) == int(arrived)
            assert agent not in KNOW_WHAT_ARRIVED or not arrived
        else:
            assert asked(town, agent) == 1
            check_whole(people, thread)


async def test_killed_in_mid_reply(town: Town, people: People, config: Path, database: Path) -> None:
    async with running(config, people) as process:
        threads = await begin(people, BACKENDS)
        await at_rest(database, len(threads))
        trouble.hold(town)
        for thread in threads.values():
            await people.reply("ada", thread, "and then?")
        await process.until(lambda: all(asked(town, agent) == 2 for agent in BACKENDS))
        await process.until(lambda: all(len(people.shown(threads[agent])) == 2 for agent in STREAMED))
        first = {agent: people.shown(threads[agent])[1] for agent in STREAMED}
        assert all(message.growing for message in first.values())
        await process.kill()

    async with running(config, people):
        trouble.release(town)
        await at_rest(database, 2 * len(threads))
    for agent, thread in threads.items():
        assert asked(town, agent) == 2
        if agent == "fifthelement":  # has no history to take the answer from
            assert is_asked_about(people, thread)
            continue
        assert len(people.shown(thread)) == 2
        check_whole(people, thread, "and then?", reply=1)
        assert agent not in first or people.shown(thread)[1].id == first[agent].id


async def test_killed_with_the_last_words_on_their_way(
    town: Town, people: People, platform: str, config: Path, database: Path
) -> None:
    trouble.hold(town)
    async with running(config, people) as process:
        threads = await begin(people, STREAMED)
        await process.until(lambda: all(people.shown(thread) for thread in threads.values()))
        trouble.hold_last_words(town, platform, len(threads))
        trouble.release(town)
        await process.until(lambda: trouble.held_edits(town, platform, len(threads)))
        first = {agent: people.shown(thread)[0] for agent, thread in threads.items()}
        assert all(message.growing for message in first.values())
        await process.kill()
    trouble.mend(town)

    async with running(config, people):
        assert set(await at_rest(database, len(threads))) == {"done"}
    for agent, thread in threads.items():
        assert asked(town, agent) == 1
        check_whole(people, thread)
        assert [message.id for message in people.shown(thread)] == [first[agent].id]


async def test_killed_before_it_heard_that_the_first_words_stand_there(
    town: Town, people: People, platform: str, config: Path, database: Path
) -> None:
    agents = (*STREAMED, "toqan")
    trouble.lose_first_words(town, platform, len(agents))
    async with running(config, people) as process:
        threads = await begin(people, agents)
        await process.until(lambda: all(people.shown(thread) for thread in threads.values()))
        first = {agent: people.shown(thread)[0].id for agent, thread in threads.items()}
        await process.kill()
    trouble.mend(town)

    async with running(config, people):
        assert set(await at_rest(database, len(threads))) == {"done"}
    for agent, thread in threads.items():
        assert asked(town, agent) == 1
        check_whole(people, thread)
        assert [message.id for message in people.shown(thread)] == [first[agent]]
