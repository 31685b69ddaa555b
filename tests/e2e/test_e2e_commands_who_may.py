"""Commands and edits of people who may not: by slash and by mention they are refused as their questions are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from bridge.access import AccessTable, Reason
from bridge.frontends.discord.about import NAMES as DISCORD_NAMES
from bridge.frontends.discord.about import Menu
from bridge.frontends.slack.about import Shortcut
from bridge.playground.discord.model import MessageFlag
from bridge.settings import Settings
from bridge.turns.gate import NOT_YOURS, SENTENCES
from tests.e2e.people import DiscordPeople, People, SlackPeople
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.test_e2e_commands import give
from tests.e2e.test_e2e_who_may import told
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick")

BOT = "@threadbridge"
NOT_LISTED = SENTENCES[Reason.PERSON]
MENUS: Mapping[Shortcut, Menu] = {"ask_about": "ask", "add_files": "add"}
Serve = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def serve(town: Town, people: People, platform: str, database: Path) -> Serve:
    """The bridge with these keys of `[access]`, these of `[agents.openai.access]`, and these limits. The agent openai
    may be chosen everywhere."""

    @asynccontextmanager
    async def serve(
        access: dict[str, Any] | None = None, openai: dict[str, Any] | None = None, **limits: int
    ) -> AsyncIterator[None]:
        settings: Settings = settings_for(town, platform, database)
        table = settings.agents["openai"].model_copy(update={"access": AccessTable.model_validate(openai or {})})
        changed = {
            "access": AccessTable.model_validate(access or {}),
            "agents": settings.agents | {"openai": table},
            "routes": [route.model_copy(update={"choices": ["openai"]}) for route in settings.routes],
            "limits": settings.limits.model_copy(update=limits),
        }
        async with serving(settings.model_copy(update=changed), people):
            if isinstance(people, DiscordPeople):
                await eventually(lambda: town.discord.commands.get(0))
            yield

    return serve


def named(people: People, platform: str, who: str) -> str:
    return f"{platform}:{people.world.person(who).id}"  # type: ignore[attr-defined]


async def by_slash(people: People, who: str, channel: str, name: str, text: str) -> str:
    """A command in a channel; what that person alone is told."""
    if isinstance(people, SlackPeople):
        answer = await people.world.command(who, channel, "/agent", f"{name} {text}")
        return str(answer.get("text", ""))
    assert isinstance(people, DiscordPeople)
    used = await people.world.command(who, channel, name, {"text": text})
    await eventually(lambda: used.original_id)
    return people.world.ephemeral[used.original_id or 0].content


def shown_in(people: People, channel: str) -> int:
    """Messages that all can read."""
    if isinstance(people, SlackPeople):
        return len(people.world.channel(channel).messages)
    assert isinstance(people, DiscordPeople)
    return len(people.world.messages(channel))


async def test_who_may_not_ask_may_give_no_command(
    serve: Serve, town: Town, people: People, platform: str, database: Path
) -> None:
    async with serve({"people": [f"!{named(people, platform, 'grace')}"]}):
        thread = await people.say("ada", "sema4ai", f"{BOT} a question")
        assert await at_rest(database, 1) == ["done"]
        for command in ("status", "history", "files", "new", "agent", "stop", "retry"):
            assert await give(people, "grace", thread, command) == NOT_LISTED
        refused = await give(people, "grace", thread, "download", "a.csv")
        if platform == "discord":
            assert refused == NOT_LISTED
        else:
            assert await give(people, "grace", thread, "upload") == NOT_LISTED
            assert isinstance(people, SlackPeople)
            direct = people.world.direct("grace").messages
            await eventually(lambda: [one.text for one in direct.values()] == [NOT_LISTED])
        assert "answers here" in await give(people, "ada", thread, "status")
        before = shown_in(people, "sema4ai")
        assert await by_slash(people, "grace", "sema4ai", "ask", "may I?") == NOT_LISTED
        assert shown_in(people, "sema4ai") == before, "nothing that others would read"
        assert states(database) == ["done"]
        assert len(town.backend("sema4ai").questions) == 1


@pytest.mark.parametrize("admin", [False, True])
async def test_stop_and_retry_are_for_who_asked_and_for_admins(
    serve: Serve, town: Town, people: People, platform: str, database: Path, admin: bool
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    async with serve({"admins": [named(people, platform, "grace" if admin else "ada")]}):
        thread = await people.say("ada", "sema4ai", f"{BOT} what now?")
        await eventually(lambda: people.shown(thread))
        assert await give(people, "grace", thread, "stop") == ("Stopping." if admin else NOT_YOURS)
        backend.release()
        assert await at_rest(database, 1) == ["cancelled" if admin else "done"]
        backend.hold = False
        retried = await give(people, "grace", thread, "retry")
        assert retried == ("It is being asked again." if admin else NOT_YOURS)
        assert len(await at_rest(database, 2 if admin else 1)) == (2 if admin else 1)


async def test_what_is_left_of_a_budget_is_told_and_a_question_over_it_is_not_shown(
    serve: Serve, people: People, database: Path
) -> None:
    async with serve(turns_per_hour=2, channel_turns_per_hour=9):
        thread = await people.say("ada", "sema4ai", f"{BOT} one")
        assert await at_rest(database, 1) == ["done"]
        left = "Left within the hour: 1 of 2 questions of yours, 8 of 9 questions in this channel."
        assert left in await give(people, "ada", thread, "status")
        assert await give(people, "ada", thread, "retry") == "It is being asked again."
        assert await at_rest(database, 2) == ["done", "done"]
        assert "limited to 2 an hour" in await give(people, "ada", thread, "retry")
        before = shown_in(people, "general")
        answer = await by_slash(people, "ada", "general", "ask", "three")
        assert "limited to 2 an hour" in answer
        assert "ask again in" in answer
        assert shown_in(people, "general") == before
        assert "2 of 2 questions of yours" in await give(people, "grace", thread, "status")
        assert len(states(database)) == 2


async def test_only_an_agent_that_one_may_ask_can_be_chosen(
    serve: Serve, people: People, platform: str, database: Path
) -> None:
    async with serve(openai={"people": [named(people, platform, "ada")]}):
        thread = await people.say("grace", "sema4ai", f"{BOT} one")
        assert await at_rest(database, 1) == ["done"]
        assert "no other agent here" in await give(people, "grace", thread, "agent")
        assert "no agent of that name" in await give(people, "grace", thread, "agent", "openai")
        assert "from now on" in await give(people, "ada", thread, "agent", "openai")
        assert await give(people, "grace", thread, "status") == NOT_LISTED, "this agent isn't for her"


async def test_a_mention_that_an_edit_adds_is_refused_privately(
    serve: Serve, people: People, platform: str, database: Path
) -> None:
    async with serve({"people": [f"!{named(people, platform, 'grace')}"]}):
        refused = await people.say("grace", "general", "no mention yet")
        asked = await people.say("ada", "general", "no mention yet")
        for who, thread in (("grace", refused), ("ada", asked)):
            await people.edit(who, replace(thread, id=thread.channel), thread.first, f"{BOT} now there is one")
        await eventually(lambda: told(people, "grace", refused))
        assert await at_rest(database, 1) == ["done"]


async def use_menu(
    people: People, who: str, shortcut: Shortcut, channel: str, message: str, where: str = ""
) -> str:
    """Use a message's menu and send its form, to the place that it offers or to "direct"; what that person alone is
    told."""
    if isinstance(people, SlackPeople):
        await people.world.shortcut(who, shortcut, channel=channel, ts=message)
        chosen = {"thread": "@:"} if where else {}
        answer = await people.world.view_submit(who, {"text": "what of this?", **chosen})
        return str((answer or {}).get("errors", {}).get("text", ""))
    assert isinstance(people, DiscordPeople)
    world = people.world
    used = await world.message_command(who, int(message), DISCORD_NAMES[MENUS[shortcut]])
    await eventually(lambda: used.modal)
    sent = await world.submit(used, {"text": "what of this?", "where": [where or "here"]})
    await eventually(
        lambda: sent.original_id and not world.ephemeral[sent.original_id].flags & MessageFlag.LOADING
    )
    return world.ephemeral[sent.original_id or 0].content


@pytest.mark.parametrize("shortcut", get_args(Shortcut))
async def test_who_may_not_ask_is_refused_by_a_messages_menu_too(
    serve: Serve, town: Town, people: People, platform: str, database: Path, shortcut: Shortcut
) -> None:
    async with serve({"people": [f"!{named(people, platform, 'grace')}"]}):
        notes = [("notes.txt", "text/plain", b"buy milk")]
        said = await people.say("ada", "sema4ai", "no question, only notes", notes)
        before = shown_in(people, "sema4ai")
        for where in ("", "direct"):
            assert await use_menu(people, "grace", shortcut, said.channel, said.first, where) == NOT_LISTED
        assert shown_in(people, "sema4ai") == before, "nothing that others would read"
        direct = people.world.direct("grace")  # type: ignore[attr-defined]
        assert not direct.messages
        assert states(database) == []
        told_of_it = await use_menu(people, "ada", shortcut, said.channel, said.first)
        assert "don't answer" not in told_of_it
        assert await at_rest(database, 1) == ["done"]
        assert len(town.backend("sema4ai").questions) == 1


async def test_a_messages_menu_asks_directly_only_who_may_write_directly(
    serve: Serve, people: People, database: Path
) -> None:
    async with serve({"direct_messages": "nobody"}):
        said = await people.say("ada", "sema4ai", "no question")
        refused = await use_menu(people, "ada", "ask_about", said.channel, said.first, "direct")
        assert refused == SENTENCES[Reason.DIRECT]
        assert states(database) == []


async def test_a_command_by_mention_is_refused_as_a_question_is(
    serve: Serve, town: Town, people: People, platform: str, database: Path
) -> None:
    async with serve({"people": [f"!{named(people, platform, 'grace')}"]}):
        thread = await people.say("ada", "sema4ai", f"{BOT} a question")
        assert await at_rest(database, 1) == ["done"]
        shown = len(people.shown(thread))
        for command in ("status", "files", "download notes.txt", "upload", "new", "retry"):
            await people.reply("grace", thread, f"{BOT} {command}")
        await people.reply("ada", thread, f"{BOT} agent")
        if isinstance(people, SlackPeople):
            await eventually(lambda: len(told(people, "grace", thread)) == 6)
            others = [one for one in told(people, "grace", thread) if NOT_LISTED not in one]
            assert len(others) == 1, "the file's refusal follows in a direct message"
            direct = people.world.direct("grace").messages
            await eventually(lambda: [one.text for one in direct.values()] == [NOT_LISTED])
        else:
            assert isinstance(people, DiscordPeople)
            await eventually(lambda: len(people.shown(thread)) > shown)
            assert len(people.shown(thread)) == shown + 1, "to Ada alone"
            private = str(people.world.direct("grace").id)
            await eventually(lambda: people.world.messages(private))
            assert [one.content for one in people.world.messages(private)] == [NOT_LISTED], "once"
        assert states(database) == ["done"]
        assert len(town.backend("sema4ai").questions) == 1


class TestOnDiscord:
    """Whoever installed the app for themselves has its menus in every server."""

    @pytest.fixture
    def platform(self) -> str:
        return "discord"

    async def test_a_member_of_another_server_may_not_ask_directly(
        self, serve: Serve, people: DiscordPeople, database: Path
    ) -> None:
        world = people.world
        async with serve():
            elsewhere = world.add_guild("Elsewhere")
            far = world.add_channel(elsewhere, "far")
            world.kick_bot(elsewhere)
            world.leave_guild(world.guild, "grace")
            message = str(await world.say("grace", str(far.id), "look"))
            refused = await use_menu(people, "grace", "ask_about", str(far.id), message, "direct")
            assert refused == SENTENCES[Reason.EXTERNAL]
            assert states(database) == []
