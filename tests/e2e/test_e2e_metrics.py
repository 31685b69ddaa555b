"""What was played stands in `/metrics`, no more and no less, on both platforms."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from adapters.testing.backends import faults
from bridge.settings import AgentTable, HttpSettings
from tests.e2e.people import People
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.scraping import OPENMETRICS, counted, grown, scrape, series
from tests.e2e.town import Town
from tests.e2e.waiting import PATIENCE, eventually
from tests.ports import free_port

BOT = "@threadbridge"
NOTES = ("notes.txt", "text/plain", b"buy milk\nand bread\n")
TOKEN = "t" * 32
# The first message of a reply, and what it is called in the count of answers 429.
FIRST_POST = {
    "slack": ("chat.startStream", "chat.startStream"),
    "discord": ("POST /channels/*/messages", "POST channels/messages"),
}
# How often the database was asked depends on the time that it took; the rest is what was played.
BY_TIME = ("threadbridge_database_", "process_")


async def test_counters_tell_exactly_what_was_played(
    town: Town, people: People, platform: str, database: Path, quick: None
) -> None:
    port = free_port()
    settings = settings_for(town, platform, database)
    agents = {**settings.agents, "general": AgentTable(kind="echo", turns_per_hour=1)}
    settings = settings.model_copy(update={"agents": agents, "http": HttpSettings(port=port)})
    async with serving(settings, people):
        async with asyncio.timeout(PATIENCE):  # until the first heartbeat is answered
            while (before := await scrape(port))[series("threadbridge_platform_up", platform=platform)] != 1:
                pass
        assert before[series("threadbridge_database_up")] == 1
        assert before[series("threadbridge_turns_waiting")] == 0

        # done: a file goes in, another comes out
        thread = await people.say("ada", "sema4ai", f"{BOT} write a report", [NOTES])
        await at_rest(database, 1)
        [report] = [content for one in people.shown(thread) for content in one.files.values()]
        # done, although the agent's service refused the first request
        town.backend("toqan").faults.add("create", faults.refuse(503, Retry_After="0"))
        await people.say("ada", "toqan", f"{BOT} a question")
        await at_rest(database, 2)
        # failed
        town.backend("toqan").faults.add("create", faults.refuse(429, Retry_After="600"))
        await people.say("ada", "toqan", f"{BOT} a question")
        await at_rest(database, 3)
        # nobody knows whether it was asked, and its person leaves it
        town.backend("fifthelement").faults.add("chat", faults.drop(after=True))
        thread = await people.say("ada", "fifthelement", f"{BOT} a question")
        await at_rest(database, 4)
        [notice] = people.shown(thread)
        await people.press("ada", notice, "Leave it")
        await eventually(lambda: states(database) == ["done", "done", "failed", "cancelled"])
        # stopped
        town.backend("sema4ai").hold = True
        thread = await people.say("ada", "sema4ai", f"{BOT} what now?")
        await eventually(lambda: any(one.growing for one in people.shown(thread)))
        assert (await scrape(port))[series("threadbridge_turns_running", agent="sema4ai", platform=platform)] == 1
        await people.stop("ada", thread)
        town.backend("sema4ai").release()
        await at_rest(database, 5)
        # done, although the platform refused the first post for a moment
        method, counted_as = FIRST_POST[platform]
        town.slack.faults.throttle(method, 0) if platform == "slack" else town.discord.faults.throttle(
            method, 0.01
        )
        await people.say("ada", "sema4ai", f"{BOT} once more")
        await at_rest(database, 6)
        # refused: this agent is asked once an hour
        await people.say("ada", "general", f"{BOT} hello")
        await at_rest(database, 7)
        await people.say("grace", "general", f"{BOT} hello")
        refusals = series("threadbridge_budget_refusals_total", platform=platform, budget="agent")
        await counted(port, refusals, before.get(refusals, 0) + 1)
        after = await scrape(port, Accept=OPENMETRICS)

    def ended(agent: str, state: str, outcome: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        labels = {"agent": agent, "platform": platform, "state": state, "outcome": outcome}
        return series("threadbridge_turns_total", **labels)

    asked = {"sema4ai": 3, "toqan": 2, "fifthelement": 1, "general": 1}
    expected = {
        ended("sema4ai", "done", "answered"): 2,
        ended("toqan", "done", "answered"): 1,
        ended("toqan", "failed", "rate_limited"): 1,
        ended("fifthelement", "waiting", "uncertain"): 1,
        ended("fifthelement", "cancelled", "abandoned"): 1,
        ended("sema4ai", "cancelled", "stopped"): 1,
        ended("general", "done", "answered"): 1,
        series("threadbridge_platform_throttled_total", platform=platform, method=counted_as): 1,
        series("threadbridge_platform_retries_total", platform=platform, reason="throttled"): 1,
        series("threadbridge_agent_retries_total", agent="toqan", repeated="request"): 1,
        series("threadbridge_file_bytes_total", platform=platform, direction="in"): len(NOTES[2]),
        series("threadbridge_file_bytes_total", platform=platform, direction="out"): len(report),
        refusals: 1,
    }
    for agent, count in asked.items():
        place = {"agent": agent, "platform": platform}
        expected[series("threadbridge_turns_received_total", **place)] = count
        expected[series("threadbridge_turn_seconds_count", **place)] = count
        expected[series("threadbridge_turn_waited_seconds_count", **place)] = count
        # Of those that failed and that nobody knows of no words came but ours.
        came = count - {"toqan": 1, "fifthelement": 1}.get(agent, 0)
        if came:
            expected[series("threadbridge_first_words_seconds_count", **place)] = came
    played = {one: value for one, value in grown(before, after).items() if not one[0].startswith(BY_TIME)}
    assert played == expected
    assert after[series("threadbridge_turns_running", agent="sema4ai", platform=platform)] == 0
    assert after[series("threadbridge_threads_held")] == 0
    assert after[series("threadbridge_turn_seconds_sum", agent="sema4ai", platform=platform)] > 0


async def test_what_is_caught_up_is_counted(
    town: Town, people: People, platform: str, database: Path, quick: None
) -> None:
    port = free_port()
    settings = settings_for(town, platform, database).model_copy(update={"http": HttpSettings(port=port)})
    async with serving(settings, people):
        thread = await people.say("ada", "openai", f"{BOT} a question")
        await at_rest(database, 1)
        before = await scrape(port)
    await people.reply("ada", thread, "nobody listens")
    async with serving(settings, people):
        await at_rest(database, 2)
        after = grown(before, await scrape(port))
    assert after[series("threadbridge_catch_up_turns_total", platform=platform)] == 1
    assert after[series("threadbridge_catch_up_messages_total", platform=platform)] >= 1


@pytest.mark.parametrize("platform", ["slack"], indirect=True)
async def test_a_token_is_wanted_where_the_settings_have_one(
    town: Town, people: People, platform: str, database: Path, quick: None
) -> None:
    port = free_port()
    http = HttpSettings(port=port, metrics_token=SecretStr(TOKEN))
    async with serving(settings_for(town, platform, database).model_copy(update={"http": http}), people):
        address = f"http://127.0.0.1:{port}/metrics"
        async with httpx.AsyncClient(trust_env=False) as client:
            for given in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[1:]}", "Bearer ä"):
                answer = await client.get(address, headers=[(b"authorization", given.encode())])
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "threadbridge_" not in answer.text
        assert await scrape(port, Authorization=f"Bearer {TOKEN}")
