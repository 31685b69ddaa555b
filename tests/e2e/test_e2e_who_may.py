"""Who may ask, press and how often, as people meet it: refused privately, once, and nothing is stored of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Uncertain
from adapters.testing.backends import faults
from bridge.access import AccessTable
from bridge.frontends.discord.telling import NOT_ALLOWED
from bridge.settings import Route
from bridge.turns.gate import NOT_YOURS
from tests.e2e.people import DiscordPeople, People, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick")

BOT = "@threadbridge"
Serve = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def serve(town: Town, people: People, platform: str, database: Path) -> Serve:
    """The bridge with these keys of `[access]`, and these limits."""

    def serve(access: dict[str, Any] | None = None, **limits: int) -> AbstractAsyncContextManager[None]:
        settings = settings_for(town, platform, database)
        table = AccessTable.model_validate(access or {})
        changed = {"access": table, "limits": settings.limits.model_copy(update=limits)}
        return serving(settings.model_copy(update=changed), people)

    return serve


def told(people: People, who: str, thread: Thread) -> list[str]:
    """What a person was told alone: in words, or by the reaction that Discord has to do with."""
    if isinstance(people, SlackPeople):
        user = people.world.person(who).id
        return [one.shown for one in people.world.ephemerals.values() if one.ephemeral_for == user]
    assert isinstance(people, DiscordPeople)
    place = people.world.place(thread.channel)
    reacted = [emoji for message in place.messages.values() for emoji in message.reactions]
    alone = people.world.messages(thread.channel, seen_by=who)
    return [emoji for emoji in reacted if emoji == NOT_ALLOWED] + [
        message.content for message in alone if message.seen_only_by is not None
    ]


def public(people: People, thread: Thread) -> str:
    return text_of(people.shown(thread))


async def test_who_is_not_listed_is_refused_privately_and_once(
    serve: Serve, people: People, platform: str, database: Path
) -> None:
    ada = people.world.person("ada").id  # type: ignore[attr-defined]
    async with serve({"people": [f"{platform}:{ada}"]}):
        refused = await people.say("grace", "general", f"{BOT} may I?")
        assert len(await eventually(lambda: told(people, "grace", refused))) == 1
        await people.say("grace", "general", f"{BOT} and now?")
        thread = await people.say("ada", "general", f"{BOT} may I?")
        assert await at_rest(database, 1) == ["done"]
        assert people.shown(thread)
        assert public(people, refused) == "", "nothing that others would read"
        assert len(told(people, "grace", refused)) == 1
        if platform == "slack":
            assert "You aren't among the people" in told(people, "grace", refused)[0]
        assert told(people, "ada", refused) == ([] if platform == "slack" else [NOT_ALLOWED])


async def test_a_refused_mention_makes_no_thread_of_the_agents(
    serve: Serve, people: People, platform: str, database: Path
) -> None:
    """What others write below it isn't for the agent until it is mentioned by somebody who may."""
    grace = people.world.person("grace").id  # type: ignore[attr-defined]
    async with serve({"people": [f"!{platform}:{grace}"]}):
        first = await people.talk_first("general", [("grace", f"{BOT} may I?"), ("ada", "no, she may not")])
        await eventually(lambda: told(people, "grace", first))
        await people.reply("ada", first, f"{BOT} but I may")
        assert await at_rest(database, 1) == ["done"]
        assert "but I may" in public(people, first)


async def test_direct_messages_can_be_switched_off(
    serve: Serve, people: People, platform: str, database: Path
) -> None:
    async with serve({"direct_messages": "nobody"}):
        thread = await people.direct("ada", "hello?")
        if platform == "slack":
            [sentence] = await eventually(lambda: told(people, "ada", thread))
        else:
            [shown] = await eventually(lambda: people.shown(thread))
            sentence = shown.text
        assert sentence.startswith("I don't answer direct messages of yours")
        assert states(database) == []


async def test_a_place_without_an_agent_stays_silent(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = settings_for(town, platform, database)
    nowhere = town.slack.channel("toqan").id if platform == "slack" else str(town.discord.place("toqan").id)
    routes = [Route(channel=nowhere, agent=""), *settings.routes]
    async with serving(settings.model_copy(update={"routes": routes}), people):
        here = await people.say("ada", "toqan", f"{BOT} anyone?")
        await people.say("ada", "general", f"{BOT} anyone?")
        assert await at_rest(database, 1) == ["done"]
        assert public(people, here) == ""
        assert told(people, "ada", here) == []


async def test_over_budget_it_is_told_privately(
    serve: Serve, people: People, platform: str, database: Path
) -> None:
    async with serve(turns_per_hour=1):
        await people.say("ada", "general", f"{BOT} first")
        assert await at_rest(database, 1) == ["done"]
        second = await people.say("ada", "general", f"{BOT} second")
        [sentence] = await eventually(lambda: told(people, "ada", second))
        if isinstance(people, DiscordPeople):
            direct = people.world.direct("ada").id
            [words] = await eventually(lambda: people.world.messages(direct))
            sentence = words.content
        assert "limited to 1 an hour" in sentence
        assert "ask again in" in sentence
        await people.say("grace", "general", f"{BOT} first")
        assert await at_rest(database, 2) == ["done", "done"]
        assert public(people, second) == ""


async def uncertain(town: Town, people: People, database: Path) -> Thread:
    """Ada's question of which nobody knows whether the agent got it; two buttons ask her what to do."""
    backend = town.backend("fifthelement")
    backend.faults.add("chat", faults.drop(after=True))
    thread = await people.say("ada", "fifthelement", f"{BOT} transfer it")
    assert await at_rest(database, 1) == ["waiting"]
    return thread


async def test_only_who_asked_decides(serve: Serve, town: Town, people: People, database: Path) -> None:
    async with serve():
        thread = await uncertain(town, people, database)
        [notice] = people.shown(thread)
        await people.press("grace", notice, "Send it again")
        if isinstance(people, SlackPeople):
            assert await eventually(lambda: told(people, "grace", thread)) == [NOT_YOURS]
        else:
            assert isinstance(people, DiscordPeople)
            world = people.world
            [answer] = await eventually(lambda: list(world.ephemeral.values()))
            assert (answer.content, answer.seen_only_by) == (NOT_YOURS, world.person("grace").id)
        [notice] = people.shown(thread)
        assert notice.text == Uncertain.sentence
        assert "Send it again" in notice.buttons
        await people.press("ada", notice, "Send it again")
        await eventually(lambda: "done" in states(database))


async def test_an_admin_decides_for_others(
    serve: Serve, town: Town, people: People, platform: str, database: Path
) -> None:
    grace = people.world.person("grace").id  # type: ignore[attr-defined]
    async with serve({"admins": [f"{platform}:{grace}"]}):
        thread = await uncertain(town, people, database)
        [notice] = people.shown(thread)
        await people.press("grace", notice, "Leave it")
        await eventually(lambda: states(database) == ["cancelled"])
        await eventually(lambda: not people.shown(thread)[0].buttons)


class TestSlack:
    @pytest.fixture
    def platform(self) -> str:
        return "slack"

    @pytest.mark.parametrize("kind", [{"is_guest": True}, {"team": "T0OTHER"}], ids=["guest", "connect"])
    async def test_external_people_are_off_until_they_are_switched_on(
        self, serve: Serve, people: SlackPeople, database: Path, kind: dict[str, Any]
    ) -> None:
        eve = people.world.add_person("Eve External", **kind)
        people.world.channel("general").members.add(eve.id)
        async with serve():
            refused = await people.say("eve", "general", f"{BOT} may I?")
            [sentence] = await eventually(lambda: told(people, "eve", refused))
            assert "full members only" in sentence
            asked = await people.say("ada", "general", f"{BOT} a question")
            await at_rest(database, 1)
            await people.reply("eve", asked, "and from me")
            await people.reply("ada", asked, "and once more")
            assert await at_rest(database, 2) == ["done", "done"], "nor in a thread of others"
        async with serve({"external": True}):
            await people.say("eve", "general", f"{BOT} may I now?")
            await eventually(lambda: len(states(database)) >= 3)

    async def test_whom_slack_does_not_speak_of_is_external(
        self, serve: Serve, people: SlackPeople, database: Path
    ) -> None:
        people.world.scopes = people.world.scopes - {"users:read"}
        async with serve():
            refused = await people.say("ada", "general", f"{BOT} may I?")
            assert "full members only" in (await eventually(lambda: told(people, "ada", refused)))[0]
            assert states(database) == []

    async def test_while_slack_cannot_be_asked_nobody_is_refused(
        self, serve: Serve, people: SlackPeople, database: Path
    ) -> None:
        """The event isn't acknowledged: Slack delivers it again."""
        people.world.faults.refuse("users.info", "internal_error")
        async with serve():
            thread = await people.say("ada", "general", f"{BOT} a question")
            assert await at_rest(database, 1) == ["done"]
            assert people.world.ephemerals == {}
            assert people.shown(thread)


class TestDiscord:
    @pytest.fixture
    def platform(self) -> str:
        return "discord"

    async def test_who_has_a_role(self, serve: Serve, people: DiscordPeople, database: Path) -> None:
        world = people.world
        role = world.add_role(world.guild, "helpers")
        world.give_role(world.guild, "ada", role)
        async with serve({"roles": [str(role)]}):
            await people.say("grace", "general", f"{BOT} may I?")
            asked = await people.say("ada", "general", f"{BOT} may I?")
            direct = await people.direct("ada", "and here?")
            await people.direct("grace", "and me?")
            assert await at_rest(database, 2) == ["done", "done"]
            assert people.shown(asked)
            assert people.shown(direct), "the roles of a direct message are those in the servers that are served"

    async def test_roles_are_looked_up_where_a_message_does_not_bring_them(
        self, serve: Serve, people: DiscordPeople, database: Path
    ) -> None:
        """What catch-up reads comes without them."""
        world = people.world
        role = world.add_role(world.guild, "helpers")
        world.give_role(world.guild, "ada", role)
        thread = await people.say("ada", "general", f"{BOT} written before the start")
        refused = await people.say("grace", "general", f"{BOT} this one too")
        async with serve({"roles": [str(role)]}):
            await eventually(lambda: people.shown(thread))
            assert await at_rest(database, 1) == ["done"]
            assert told(people, "grace", refused) == [NOT_ALLOWED]
        for message in people.world.messages(refused.channel):
            message.reactions.clear()
        async with serve({"roles": [str(role)]}):
            await people.say("ada", "general", f"{BOT} and now")
            assert await at_rest(database, 2) == ["done", "done"]
            assert told(people, "grace", refused) == [], "what was refused isn't told twice"

    @pytest.mark.parametrize("leaves", [False, True])
    async def test_strangers_direct_messages_are_off(
        self, serve: Serve, people: DiscordPeople, database: Path, leaves: bool
    ) -> None:
        if leaves:
            people.world.leave_guild(people.world.guild, "ada")
        async with serve():
            thread = await people.direct("ada", "hello?")
            [shown] = await eventually(lambda: people.shown(thread))
            assert ("full members only" in shown.text) is leaves
            assert len(states(database)) == (0 if leaves else 1)

    async def test_a_member_of_a_server_that_is_not_served_is_a_stranger(
        self, serve: Serve, people: DiscordPeople, database: Path
    ) -> None:
        async with serve({"servers": ["424242"]}):
            refused = await people.say("ada", "general", f"{BOT} may I?")
            assert await eventually(lambda: told(people, "ada", refused)) == [NOT_ALLOWED]
            thread = await people.direct("ada", "and here?")
            await eventually(lambda: people.shown(thread))
            assert states(database) == []
