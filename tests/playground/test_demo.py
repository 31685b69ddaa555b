"""`threadbridge demo` as a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from bridge.app import bridge
from bridge.playground.demo import playground
from bridge.playground.page.alerts import TITLE
from bridge.playground.page.first_words import are_first_words
from bridge.settings import AgentTable
from tests.e2e.waiting import eventually

PATIENCE = 100.0  # seconds, of a very busy machine
pytestmark = pytest.mark.timeout(5 * PATIENCE)
AT_WORK = 3_000  # seconds that the agent would still be at work


@pytest.mark.slow
async def test_the_demo_serves_its_page_and_ends_with_it_open_and_an_agent_at_work() -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "demo", "--port", "0", "--no-browser"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert demo.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = (await demo.stdout.readline()).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        async with httpx.AsyncClient(base_url=found[0], trust_env=False) as client:
            page = await client.get("/")
            assert "Threadbridge playground" in page.text
            async with client.stream("GET", "/feed") as feed:
                events = feed.aiter_lines()
                assert '"server"' in await anext(events)
                said = await client.post(
                    "/say/slack",
                    data={"channel": "general", "text": f"@threadbridge slow {AT_WORK}: one two three"},
                    headers={"Origin": found[0].rstrip("/")},
                )
                assert said.status_code == 204
                async for event in events:
                    if '"stoppable": true' in event:  # the agent is at work
                        break
                demo.send_signal(signal.SIGINT)
                async with asyncio.timeout(PATIENCE):
                    async for _ in events:  # to its end, in good order
                        pass
        async with asyncio.timeout(PATIENCE):
            _, errors = await demo.communicate()
        assert demo.returncode == 0
        assert "Traceback" not in errors.decode()
        assert '"level": "error"' not in errors.decode()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()


async def test_an_alert_arrives_and_is_taken_up_in_a_thread(tmp_path: Path) -> None:
    async with playground() as simulated, bridge(simulated.settings(tmp_path / "demo.db")):
        await eventually(lambda: simulated.slack.deliveries.connections and simulated.discord.gateway.connected)
        async with httpx.AsyncClient(base_url=simulated.url, trust_env=False) as client:
            for platform in ("slack", "discord"):
                arrived = await client.post(f"/break/{platform}/alert", headers={"Origin": simulated.url})
                assert "trusted" in arrived.text
        await eventually(
            lambda: any(
                one.user == simulated.slack.bot.id and TITLE in one.shown
                for one in simulated.slack.messages("alerts")
            )
        )
        await eventually(lambda: simulated.discord.threads("alerts"))
        thread = simulated.discord.threads("alerts")[0].id
        await eventually(lambda: any(TITLE in one.content for one in simulated.discord.messages(thread)))


@pytest.mark.slow
async def test_a_taken_port_is_one_sentence() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "demo", "--port", str(port), "--no-browser"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            _, errors = await demo.communicate()
    assert demo.returncode != 0
    assert f"--port {port}: Address already in use" in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_agents_of_a_settings_file_have_channels_of_their_own(tmp_path: Path) -> None:
    own = {
        "support": AgentTable.model_validate({"kind": "echo", "delay": 0}),
        "toqan": AgentTable.model_validate({"kind": "echo", "delay": 0}),  # there is such a channel already
    }
    async with (
        playground(agents=own) as simulated,
        bridge(simulated.settings(tmp_path / "demo.db"), opened=simulated.in_process.update),
    ):
        for channel in ("support", "my-toqan"):
            words = f"@threadbridge hello {channel}"
            said = await simulated.slack.say("ada", channel, simulated.slack.typed(words))
            place = simulated.slack.channel(channel).id
            await eventually(lambda: len(simulated.slack.thread(place, said)) > 1, within=PATIENCE)  # noqa: B023
            await simulated.discord.say("ada", channel, simulated.discord.typed(f"@threadbridge hello {channel}"))
            await eventually(lambda: simulated.discord.threads(channel), within=PATIENCE)  # noqa: B023
        assert simulated.backends["toqan"].backend.count() == 0
        assert simulated.asked() >= len(own)


async def test_an_agent_speaks_first_and_is_answered(tmp_path: Path) -> None:
    """By the bridge's own POST /threads; what a person writes below it is a question like any other."""
    async with (
        playground() as simulated,
        bridge(simulated.settings(tmp_path / "demo.db"), opened=simulated.in_process.update),
    ):
        await eventually(lambda: simulated.slack.deliveries.connections and simulated.discord.gateway.connected)
        async with httpx.AsyncClient(base_url=simulated.url, trust_env=False) as client:
            for platform in ("slack", "discord"):
                said = await client.post(f"/break/{platform}/first", headers={"Origin": simulated.url})
                assert said.status_code == 200, said.text
        root = await eventually(
            lambda: next((one for one in simulated.slack.messages("general") if are_first_words(one.shown)), None)
        )
        await simulated.slack.say("ada", "general", "yes, please", root.ts)
        [thread, *_] = await eventually(lambda: simulated.discord.threads("general"))
        await simulated.discord.say("ada", thread.id, "yes, please")
        await eventually(lambda: simulated.asked() == 2)
