"""Each trouble of the page's menu is what it says."""

from __future__ import annotations

import asyncio

import pytest

from adapters.testing.backends import simulated_backends
from adapters.testing.backends.faults import Faults
from bridge.playground.discord import DiscordWorld
from bridge.playground.page import troubles as module
from bridge.playground.page.rooms import ROOMS
from bridge.playground.page.troubles import ASKING, STREAMING, agent_troubles, discord_troubles, slack_troubles
from bridge.playground.page.views import CantDo
from bridge.playground.slack import SlackWorld

BACKENDS = simulated_backends()


def test_every_agent_has_a_room_and_troubles() -> None:
    assert set(ASKING) == set(BACKENDS) == set(ROOMS) - {"general"}
    assert set(STREAMING) < set(ASKING)


@pytest.mark.parametrize("kind", BACKENDS)
def test_what_is_armed_is_an_operation(kind: str) -> None:
    backend = BACKENDS[kind].backend
    named = {getattr(route, "name", "") for route in backend.app.routes} | set(getattr(backend, "_operations", ()))
    assert {*ASKING[kind], *filter(None, [STREAMING.get(kind)])} <= named


@pytest.mark.parametrize("kind", BACKENDS)
async def test_an_agents_trouble_meets_its_questions_and_ends_by_itself(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = BACKENDS[kind].backend
    backend.faults = Faults()
    found = agent_troubles(kind, backend)
    asking = ASKING[kind][0]
    found["lost"].cause()
    fault = backend.faults.take(asking)
    assert fault is not None
    assert (fault.when, fault.drop) == ("after", True)
    found["down"].cause()
    assert [fault.status for _ in range(3) if (fault := backend.faults.take("any"))] == [503] * 3
    if kind in STREAMING:
        found["cut"].cause()
        fault = backend.faults.take(STREAMING[kind])
        assert fault is not None
        assert fault.mangle is not None

    monkeypatch.setattr(module, "ARMED", 0.0)
    backend.faults.clear()
    monkeypatch.setattr(module, "DOWN", 0.0)
    found["down"].cause()
    assert backend.faults.take("any") is not None
    for _ in range(3):  # rounds of the loop: a timer of no seconds needs one
        await asyncio.sleep(0)
    assert backend.faults.take("any") is None


async def test_slack() -> None:
    world = SlackWorld(channels=("general",), rate=None, retry_delays=())
    found = slack_troubles(world)
    with pytest.raises(CantDo):
        found["again"].cause()
    await world.say("ada", "general", "hi")
    await world.webhook("general", "not a person")
    found["again"].cause()
    first, *_, last = world.deliveries.envelopes
    assert last.payload == first.payload

    found["lost"].cause()
    (fault,) = world.faults.take("chat.startStream")
    assert (fault.status, fault.after) == (500, True)
    found["throttle"].cause()
    (fault,) = world.faults.take("chat.appendStream")
    assert fault.retry_after == module.PAUSE
    world.streams_until["C1", "1.0"] = 1.0
    found["expire"].cause()
    assert world.streams_until == {}
    found["drop"].cause()
    assert world.deliveries.connections == []
    await world.aclose()


async def test_discord() -> None:
    world = DiscordWorld(channels=("general",), forums=(), rate=None)
    found = discord_troubles(world)
    with pytest.raises(CantDo):
        found["again"].cause()
    found["lost"].cause()
    (fault,) = world.faults.take("POST /channels/1/messages")
    assert (fault.status, fault.after) == (500, True)
    found["throttle"].cause()
    found["cut"].cause()
    throttle, cut = [world.faults.take("PATCH /channels/1/messages/2")[0] for _ in range(2)]
    assert (throttle.trouble, throttle.seconds) == ("throttle", module.PAUSE)
    assert (cut.trouble, cut.after) == ("hang_up", True)
