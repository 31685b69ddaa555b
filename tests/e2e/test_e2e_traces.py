"""One trace from the platform's event to the last part, exported by the real SDK; across a kill and a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from adapters.testing.traces import trace_of
from bridge.frontends.discord.calls import named
from bridge.settings import HttpSettings
from tests.e2e.collector import Collector, collecting
from tests.e2e.people import People, text_of
from tests.e2e.running import as_toml, at_rest, people_of, running, serving, settings_for
from tests.e2e.test_e2e_speaking_first import TOKEN, person, place
from tests.e2e.town import Town
from tests.e2e.waiting import eventually
from tests.ports import free_port

pytestmark = pytest.mark.slow

MARKER = "zebra-crossing"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
POSTED = {"slack": {"chat.startStream", "chat.postMessage"}, "discord": {"POST /channels/{}/messages"}}


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with collecting() as collecting_them:
        for name, value in collecting_them.environment().items():
            monkeypatch.setenv(name, value)
        yield collecting_them


@pytest.mark.usefixtures("quick")
async def test_one_trace_from_the_event_to_the_last_part(
    town: Town, people: People, platform: str, database: Path, collector: Collector
) -> None:
    """And no text, no name of a file or person, no token in any of it."""
    settings = settings_for(town, platform, database)
    notes = [(f"{MARKER}.txt", "text/plain", MARKER.encode())]
    async with serving(settings, people):
        thread = await people.say("ada", "openai", f"@threadbridge {MARKER} write a report", files=notes)
        assert await at_rest(database, 1) == ["done"]
    assert MARKER in text_of(people.shown(thread))
    [root] = collector.named("receive")
    assert root.parent == ""
    assert (root.service, bool(root.instance)) == ("threadbridge", True)
    spans = [span for span in collector.spans if span.trace == root.trace]
    assert len(spans) == len(collector.spans), "a second trace"
    assert {span.parent for span in spans} <= {"", *(span.id for span in spans)}, "a span without its parent"
    for name in ("store", "wait", "deliver"):
        assert [span.parent for span in collector.named(name)] == [root.id], name
    [ask] = collector.named("invoke_agent openai")
    assert ask.parent == root.id
    assert ask.attributes["gen_ai.agent.name"] == ask.attributes["gen_ai.provider.name"] == "openai"
    assert ask.attributes["threadbridge.conversation"] == "new"
    assert ask.attributes["threadbridge.outcome"] == "answered"
    assert ask.attributes["gen_ai.usage.output_tokens"] > 0
    assert ask.events == ["first_words"]
    requests = [span for span in spans if span.parent == ask.id and span.name in ("GET", "POST")]
    assert requests
    told = town.backend("openai").traced
    assert {trace_of(one) for one in told} == {root.trace}
    assert {one.split("-")[2] for one in told if one} <= {span.id for span in spans}
    assert POSTED[platform] & {span.name for span in spans if span.attributes.get("messaging.system") == platform}
    assert collector.holds("invoke_agent openai"), "what is looked through is what was exported"
    for word in (MARKER, people.named("ada"), person(people, "ada"), *secrets(town)):
        assert not collector.holds(word), word


def secrets(town: Town) -> list[str]:
    return [town.slack.bot_token, town.slack.app_token, town.discord.token, town.backend("openai").key]


async def test_the_trace_survives_a_kill_and_a_restart(
    town: Town, database: Path, collector: Collector, tmp_path: Path
) -> None:
    """On both platforms, each in its own trace."""
    config = tmp_path / "threadbridge.toml"
    config.write_text(as_toml(town.settings(database)))
    everyone = [people_of(town, platform) for platform in POSTED]
    backend = town.backend("openai")
    backend.hold = True
    async with running(config, *everyone) as process:
        threads = [await people.say("ada", "openai", f"@threadbridge {MARKER}") for people in everyone]
        await process.until(lambda: backend.count() == 2 and len(collector.named("wait")) == 2)
        await process.until(lambda: all(one.shown(thread) for one, thread in zip(everyone, threads, strict=True)))
        await process.kill()
    roots = {root.attributes["messaging.system"]: root for root in collector.named("receive")}
    assert roots.keys() == POSTED.keys()
    assert not collector.named("invoke_agent openai"), "a span that was cut"
    backend.release()
    async with running(config, *everyone) as process:
        assert await at_rest(database, 2) == ["done", "done"]
        process.terminate()
        assert await process.ended() == 0, process.log()
    assert backend.count() == 2
    for platform, root in roots.items():
        spans = [span for span in collector.spans if span.trace == root.trace]
        [resumed] = [span for span in spans if span.name == "resume"]
        assert resumed.parent == root.id
        assert resumed.instance != root.instance
        for name in ("invoke_agent openai", "deliver"):
            assert [span.parent for span in spans if span.name == name] == [resumed.id], name
        assert {span.attributes.get("messaging.system", platform) for span in spans} == {platform}
    traces = {root.trace for root in roots.values()}
    assert len(traces) == 2
    assert {span.trace for span in collector.spans} == traces
    assert {trace_of(one) for one in backend.traced} == traces
    assert not collector.holds(MARKER)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("platform", ["slack"])
async def test_a_collector_that_cannot_be_reached_holds_nothing_up(
    town: Town,
    people: People,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    platform: str,
) -> None:
    """Turns are answered, the log has one line of it, and the end is bounded."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with capture_logs() as lines:
        async with serving(settings_for(town, platform, database), people):
            for turn in range(3):
                await people.say("ada", "openai", f"@threadbridge {MARKER} {turn}")
            assert await at_rest(database, 3) == ["done"] * 3
            await eventually(lambda: any("exported and are dropped" in line["event"] for line in lines))
    assert sum("can't be exported" in line["event"] for line in lines) == 1
    assert not [record for record in caplog.records if record.name.startswith(("opentelemetry", "urllib3"))]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v10/channels/123456789012345678/messages", "POST /channels/{}/messages"),
        ("/discord/api/v10/channels/1/messages/2", "POST /channels/{}/messages/{}"),
        ("/api/v10/interactions/1/aW50ZXJhY3Rpb24/callback", "POST /interactions/{}/{}/callback"),
        ("/api/v10/webhooks/1/c2VjcmV0/messages/@original", "POST /webhooks/{}/{}/messages/@original"),
        (
            "/api/v10/channels/1/messages/2/reactions/%F0%9F%91%80/@me",
            "POST /channels/{}/messages/{}/reactions/{}/@me",
        ),
    ],
)
def test_a_call_to_discord_is_named_without_ids_and_tokens(path: str, name: str) -> None:
    assert named("POST", path) == name


@pytest.mark.usefixtures("quick")
async def test_what_the_agent_says_unasked_continues_its_callers_trace(
    town: Town, people: People, platform: str, database: Path, collector: Collector
) -> None:
    """Over `POST /threads`; from whoever lacks the token nothing is continued."""
    port = free_port()
    http = HttpSettings(port=port, token=SecretStr(TOKEN), speak=[f"{platform}:{place(people, 'openai')}"])
    settings = settings_for(town, platform, database).model_copy(update={"http": http})
    said = {"platform": platform, "channel": place(people, "openai"), "text": MARKER}
    headers = {"authorization": f"Bearer {TOKEN}", "idempotency-key": MARKER, "traceparent": CALLER}
    async with serving(settings, people), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        refused = await client.post("/threads", json=said, headers=headers | {"authorization": "Bearer x"})
        assert refused.status_code == 401
        answer = await client.post("/threads", json=said, headers=headers)
        assert answer.status_code == 202, answer.text
        assert await at_rest(database, 1) == ["done"]
    _, trace, caller, _ = CALLER.split("-")
    [root] = collector.named("speak")
    assert (root.trace, root.parent) == (trace, caller)
    assert {span.trace for span in collector.spans} == {trace}
    assert POSTED[platform] & {span.name for span in collector.spans}
    assert not collector.holds(MARKER)
