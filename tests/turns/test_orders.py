"""Commands, carried out: what each changes, and what it answers where it can't be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.base import InputRequest, ProtocolError, Row, Status, Text, Unavailable
from bridge import metrics
from bridge.commands import CommandName
from bridge.inbound import Address, Person
from bridge.store.database import Database
from bridge.turns import orders
from bridge.turns.inbox import Order
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound

ANN = Person("U1", "Ann")


class Keeper(ScriptedAgent):
    """Its service can be asked what was said, unless it is away."""

    away = False

    async def history(self, conversation: str) -> Sequence[Row]:
        if self.away:
            raise Unavailable("away")
        return [Row("person", f"in {conversation}"), Row("agent", "# yes\n\n```\n" + "word " * 200)]


async def give(bridge: Bridge, name: CommandName, argument: str = "", address: Address = HERE) -> str:
    return await bridge.intake.ordered(Order(name, ANN, address, argument))


async def test_a_command_in_a_place_that_is_not_known(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        for name in ("new", "agent", "history", "stop", "retry", "status"):
            assert await give(bridge, name) == orders.UNKNOWN
            assert await give(bridge, name, address=replace(HERE, thread="")) == orders.NOWHERE


async def test_stop_and_status_while_it_works_and_after(quick: Database, platform: MemoryPlatform) -> None:
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    backend = Backend([Status("reading the books"), wait, Text("an answer")])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await eventually(lambda: backend.asked)
        await bridge.intake.take(inbound(2))
        await eventually(lambda: "reading the books" in platform.labels)
        told = await give(bridge, "status")
        assert "`support` answers here. It is at work (reading the books), for 0 s so far." in told
        assert told.endswith("1 message waits. Yours is number 1.")
        assert await give(bridge, "new") == orders.BUSY
        assert await give(bridge, "retry") == orders.AT_WORK
        assert await give(bridge, "stop", address=replace(HERE, thread="")) == orders.STOPPING
        go_on.set()
        await bridge.until_state("cancelled", "done")
        assert (await bridge.outcome("100.0-1"))[1] == "stopped"
        await eventually(lambda: not bridge.runner._at_work)
        assert await give(bridge, "stop") == orders.NOTHING_RUNS
        assert await give(bridge, "status") == f"`support` answers here. {orders.RESTING}"


async def test_new_begins_a_conversation_with_the_next_message(quick: Database, platform: MemoryPlatform) -> None:
    heard: list[str | None] = []

    class Listening(ScriptedAgent):
        def ask(self, conversation, message, *, resume=None):  # type: ignore[no-untyped-def]
            heard.append(conversation)
            return super().ask(conversation, message, resume=resume)

    async with running(Bridge(quick, platform, Listening(Backend()))) as bridge:
        for number in (1, 2):
            await bridge.intake.take(inbound(number))
            await bridge.until_state("done")
            await eventually(lambda: not bridge.runner._held)
        assert await give(bridge, "new") == orders.ANEW
        assert await give(bridge, "history") == orders.NOTHING_SAID
        assert await give(bridge, "retry") == orders.NOTHING_TO_RETRY
        await bridge.intake.take(inbound(3))
        await eventually(lambda: len(heard) == 3)
    assert heard == [None, "conv", None]


async def test_agent_chooses_among_those_the_settings_allow(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        await eventually(lambda: not bridge.runner._held)
        assert await give(bridge, "agent") == "`support` answers here. You may choose `research`."
        assert "already" in await give(bridge, "agent", "support")
        assert "You may choose `research`." in await give(bridge, "agent", "nobody")
        assert await give(bridge, "agent", "research") == f"`research` answers here from now on. {orders.ANEW}"
        assert "You may choose `support`." in await give(bridge, "agent")


@pytest.mark.parametrize("away", [False, True])
async def test_history_is_the_agents_or_our_own_record(
    quick: Database, platform: MemoryPlatform, away: bool
) -> None:
    agent = Keeper(Backend())
    agent.away = away
    async with running(Bridge(quick, platform, agent)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        told = await give(bridge, "history")
    if away:
        assert told == "**Asked:** question 1\n\n**Answered:** answer to question 1"
    else:
        assert told.startswith("**Asked:** in conv\n\n**Answered:** # yes word word")
        assert "```" not in told, "an open fence would swallow what follows"
        assert len(told) < orders.HISTORY_SHOWN


async def test_retry_asks_what_was_answered_or_failed_once_more(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend()
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        for times in (2, 3):
            await eventually(lambda: not bridge.runner._held)
            assert await give(bridge, "retry") == orders.AGAIN
            await eventually(lambda times=times: len(backend.asked) == times)  # type: ignore[misc]
            await bridge.until_state("done")
    assert backend.asked == ["question 1"] * 3
    assert len({*backend.ids}) == 3


async def test_retry_of_what_failed(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([ProtocolError("odd")])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        await eventually(lambda: not bridge.runner._held)
        backend.script = ()
        assert await give(bridge, "retry") == orders.AGAIN
        await bridge.until_state("failed", "done")
        await eventually(lambda: len(backend.asked) == 2)


async def test_an_open_question_of_the_agent_is_not_asked_again(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([InputRequest("Which year?")])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("waiting")
        await eventually(lambda: not bridge.runner._held)
        assert await give(bridge, "retry") == orders.ASKED_BACK
        assert "waits for you" in await give(bridge, "status")
        labels = {"agent": metrics.OTHER, "platform": "slack", "state": "cancelled", "outcome": "abandoned"}
        counted = metrics.REGISTRY.get_sample_value("threadbridge_turns_total", labels) or 0
        assert await give(bridge, "new") == orders.ANEW
        await bridge.until_state("cancelled")
        assert metrics.REGISTRY.get_sample_value("threadbridge_turns_total", labels) == counted + 1
