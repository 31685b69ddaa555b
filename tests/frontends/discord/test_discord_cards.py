"""What a message says outside its content reaches the agent: alerts, polls, forum posts."""

from __future__ import annotations

import pytest

from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.cards import MAX_CARD
from bridge.inbound import Address, ContextMessage, Person
from bridge.playground.discord import DiscordWorld, Poll
from tests.frontends.discord.running import MemoryInbox, eventually
from tests.turns.world import unguarded

ALERT = {
    "author": {"name": "Grafana"},
    "title": "[FIRING:1] Disk is full",
    "url": "https://grafana.example/alert/1",
    "description": "node-7 has **2 %** left",
    "fields": [{"name": "Severity", "value": "critical"}, {"name": "Runbook", "value": "disk.md"}],
    "footer": {"text": "since 12:03"},
}
WORDS = """Grafana
**[[FIRING:1] Disk is full](https://grafana.example/alert/1)**
node-7 has **2 %** left
Severity: critical
Runbook: disk.md
since 12:03"""


async def context(world: DiscordWorld, front: DiscordFrontEnd, thread: int, channel: str) -> list[ContextMessage]:
    address = Address("discord", str(world.guild.id), str(world.place(channel).id), str(thread))
    question = await world.say("ada", thread, f"{world.mention} what now?")
    return list(await front.surface(address, person=Person("1"), guard=unguarded).earlier(str(question)))


@pytest.fixture
def robot(world: DiscordWorld) -> str:
    return str(world.add_person("Robot", bot=True).id)


async def test_an_alert_without_a_word_of_content_is_context(
    world: DiscordWorld, front: DiscordFrontEnd, robot: str
) -> None:
    alert = await world.say(robot, "general", embeds=[ALERT])
    thread = await world.open_thread("ada", "general", "the disk", on=alert)
    assert await context(world, front, thread, "general") == [ContextMessage("Robot", WORDS)]


async def test_what_a_question_brings_along_is_part_of_it(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    await world.say("ada", "general", f"{world.mention} is this bad?", embeds=[ALERT])
    await eventually(lambda: inbox.turns)
    assert inbox.turns[0].text == f"is this bad?\n\n{WORDS}"


async def test_a_message_of_an_embed_alone_says_something(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    direct = world.direct("ada").id
    await world.say("ada", direct, embeds=[{"image": {"url": "https://example.com/a.png"}}])
    await world.say("ada", direct, embeds=[ALERT])
    await eventually(lambda: inbox.turns)
    assert [turn.text for turn in inbox.turns] == [WORDS]


@pytest.mark.parametrize(
    ("poll", "words"),
    [
        (Poll("Lunch?", ("Soup", "Pie")), "**Lunch?**\n- Soup\n- Pie"),
        (Poll("Lunch?", ("Soup", "Pie"), (3, 0)), "**Lunch?**\n- Soup (3)\n- Pie"),
    ],
)
async def test_a_poll(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, poll: Poll, words: str
) -> None:
    await world.say("ada", world.direct("ada").id, poll=poll)
    await eventually(lambda: inbox.turns)
    assert inbox.turns[0].text == words


async def test_the_title_of_a_forum_post_is_the_question(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    post = await world.create_forum_post("ada", "help", "Why is it red?", f"{world.mention} see above", ["bug"])
    await eventually(lambda: inbox.turns)
    assert inbox.turns[0].text == "# Why is it red?\n(bug)\n\nsee above"
    await world.say("ada", post, "still red")
    await eventually(lambda: len(inbox.turns) == 2)
    assert inbox.turns[1].text == "still red"


async def test_it_comes_with_the_context_too(world: DiscordWorld, front: DiscordFrontEnd) -> None:
    post = await world.create_forum_post("ada", "help", "Why is it red?", "see above", ["bug", "question"])
    assert await context(world, front, post, "help") == [
        ContextMessage("Ada Lovelace", "# Why is it red?\n(bug, question)\n\nsee above")
    ]


async def test_a_card_has_its_limit(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> None:
    fields = [{"name": "x" * 256, "value": "y" * 1024}] * 25
    await world.say("ada", world.direct("ada").id, embeds=[{"fields": fields}])
    await eventually(lambda: inbox.turns)
    assert len(inbox.turns[0].text) == MAX_CARD
    assert inbox.turns[0].text.endswith("…")
