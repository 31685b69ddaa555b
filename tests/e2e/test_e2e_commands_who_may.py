"""Commands and edits of people who may not: by slash and by mention they are refused as their questions are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.access import AccessTable, Reason
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
