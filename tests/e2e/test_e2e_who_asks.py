"""Who asks on a platform reaches the agent's service."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import jwt
import pytest

from adapters.testing.backends import faults
from bridge.access import AccessTable
from bridge.settings import AgentTable, Settings
from tests.e2e.people import People
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]

BOT = "@threadbridge"
KEY = "k" * 32


def told(town: Town, agent: str) -> list[Mapping[str, Any]]:
    """Who asked the agent, one after the other, as its service was told."""
    return [one for one, _ in groupby(dict(told.person) for told in town.backend(agent).told)]


def expected(town: Town, platform: str, who: str, channel: str) -> dict[str, Any]:
    """Ids, and nothing that reads as a name."""
    if platform == "slack":
        place, world = town.slack.channel(channel).id, town.slack
        return {"platform": "slack", "id": world.person(who).id, "workspace": world.team_id, "channel": place}
    guild = town.discord.guild
    ids = {"id": town.discord.person(who).id, "workspace": guild.id, "channel": town.discord.place(channel).id}
    roles = [str(role) for role in guild.given.get(ids["id"], [])]
    return {"platform": "discord", **{name: str(one) for name, one in ids.items()}} | (
        {"roles": roles} if roles else {}
    )


def with_agent(settings: Settings, name: str, **more: Any) -> Settings:
    """The agent's table with other settings of who asks."""
    table = AgentTable.model_validate({**settings.agents[name].model_dump(), **more})
    return settings.model_copy(update={"agents": {**settings.agents, name: table}})


@pytest.mark.parametrize("agent", ["toqan", "sema4ai", "enthusiast", "agentok", "fifthelement", "openai", "a2a"])
async def test_each_of_several_is_told_by_ids(
    town: Town, people: People, platform: str, database: Path, bridging: None, agent: str
) -> None:
    town.discord.give_role(town.discord.guild, "ada", town.discord.add_role(town.discord.guild, "ops"))
    thread = await people.say("ada", agent, f"{BOT} first question")
    await at_rest(database, 1)
    await people.reply("grace", thread, "second question")
    assert await at_rest(database, 2) == ["done", "done"]
    assert told(town, agent) == [expected(town, platform, who, agent) for who in ("ada", "grace")]
    assert not any(one.token for one in town.backend(agent).told)


async def test_all_of_a_person_is_told_and_signed_where_the_settings_say_so(
    town: Town, people: People, platform: str, database: Path
) -> None:
    town.slack.scopes.add("users:read.email")
    settings = with_agent(settings_for(town, platform, database), "toqan", person="full", person_key=KEY)
    if settings.slack is not None:
        settings = settings.model_copy(update={"slack": settings.slack.model_copy(update={"emails": True})})
    async with serving(settings, people):
        await people.say("ada", "toqan", f"{BOT} a question")
        assert await at_rest(database, 1) == ["done"]
    ids = expected(town, platform, "ada", "toqan")
    address = {"email": "ada@example.com"} if platform == "slack" else {}
    assert told(town, "toqan") == [ids | {"name": people.named("ada")} | address]
    [token] = {one.token for one in town.backend("toqan").told}
    claims = jwt.decode(token, KEY, algorithms=["HS256"], issuer="threadbridge", audience="toqan")
    assert claims["sub"] == f"{platform}:{ids['id']}"
    assert {name: claims[name] for name in ("platform", "workspace", "channel")} == {
        name: ids[name] for name in ("platform", "workspace", "channel")
    }


async def test_nobody_is_told_of_where_the_settings_say_so(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = with_agent(settings_for(town, platform, database), "openai", person="none")
    async with serving(settings, people):
        await people.say("ada", "openai", f"{BOT} a question")
        assert await at_rest(database, 1) == ["done"]
    assert town.backend("openai").told == []


async def test_who_tries_again_asks_in_their_own_name_after_a_restart_too(
    town: Town, people: People, platform: str, database: Path
) -> None:
    grace = people.world.person("grace").id  # type: ignore[attr-defined]
    admins = AccessTable(admins=(f"{platform}:{grace}",))
    settings = settings_for(town, platform, database).model_copy(update={"access": admins})
    town.backend("toqan").faults.add("create", faults.refuse(429, Retry_After="600"))
    async with serving(settings, people):
        thread = await people.say("ada", "toqan", f"{BOT} a question")
        assert await at_rest(database, 1) == ["failed"]
        [notice] = people.shown(thread)
    async with serving(settings, people):
        await people.press("grace", notice, "Try again")
        assert await at_rest(database, 2) == ["failed", "done"]
    assert told(town, "toqan") == [expected(town, platform, who, "toqan") for who in ("ada", "grace")]
    [asked] = town.backend("toqan").questions
    assert asked.text == "a question"


async def test_who_answers_what_the_agent_asked_back_is_told(
    town: Town, people: People, platform: str, database: Path, bridging: None
) -> None:
    thread = await people.say("ada", "agentok", f"{BOT} ask me about the year")
    assert await at_rest(database, 1) == ["waiting"]
    await people.reply("grace", thread, "2024")
    assert await at_rest(database, 2) == ["done", "done"]
    assert told(town, "agentok") == [expected(town, platform, who, "agentok") for who in ("ada", "grace")]


async def test_the_echo_agent_says_who_asks(
    town: Town, people: People, platform: str, database: Path, bridging: None
) -> None:
    thread = await people.say("ada", "general", f"{BOT} whoami")
    assert await at_rest(database, 1) == ["done"]
    shown = "".join(message.text for message in people.shown(thread))
    assert expected(town, platform, "ada", "general")["id"] in shown
