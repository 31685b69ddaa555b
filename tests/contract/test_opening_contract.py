"""What speaking first relies on: every platform passes it, the one in memory that the turns' tests use too."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bridge.turns.surface import Fenced, Gone, Opening, PartKey, PartKind, SurfaceError, Throttled, Unreachable
from tests.contract.stages import Stage, Trouble, discord_stage, memory_stage, slack_stage

pytestmark = pytest.mark.contract

KEY = PartKey("turn000000000001", PartKind.TEXT, 0)
OTHER = PartKey("turn000000000002", PartKind.TEXT, 0)
STAGES = {"memory": memory_stage, "slack": slack_stage, "discord": discord_stage}


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with STAGES[request.param]() as stage:
        yield stage


async def say(opening: Opening, key: PartKey, text: str, *, since: float, doubtful: bool = False) -> str:
    """What whoever takes it up does."""
    assert await opening.locate() is None
    found = await opening.find(key, text, since) if doubtful else None
    return found or await opening.post(key, text, "A title")


async def test_a_message_begins_a_thread_of_its_own_id(stage: Stage) -> None:
    opening = stage.opening()
    message = await say(opening, KEY, "Hello.", since=time.time())
    address = await opening.open(message, "A title")
    assert address.thread == message
    assert await opening.open(message, "A title") == address, "it may be repeated"
    assert stage.said() == ["Hello."]


async def test_who_doesnt_know_finds_it_after_a_restart(stage: Stage) -> None:
    since = time.time() - 60
    first = await say(stage.opening(), KEY, "Hello.", since=since)
    assert await say(stage.opening(), KEY, "Hello.", since=since, doubtful=True) == first
    other = await say(stage.opening(), OTHER, "Hello.", since=since, doubtful=True)
    assert other != first, "another one of the same words is another one"
    assert stage.said() == ["Hello.", "Hello."]


@pytest.mark.parametrize("age", ["within a minute", "later"])
async def test_another_process_finds_it_by_what_the_platform_keeps(
    age: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord: the nonce gives it back as long as it lives, then it is known by its words."""
    async with discord_stage() as stage:
        since = time.time() - 60
        await say(stage.opening(), OTHER, "Something else.", since=since)
        first = await say(stage.opening(), KEY, "Hello.", since=since)
        stage.front.echoes = type(stage.front.echoes)()  # type: ignore[attr-defined]
        if age == "later":
            monkeypatch.setattr("bridge.frontends.discord.opening.NONCE_LIVES", timedelta(seconds=-60))
        assert await say(stage.opening(), KEY, "Hello.", since=since, doubtful=True) == first
        assert stage.said() == ["Something else.", "Hello."]


@pytest.mark.parametrize(
    ("kind", "error"), [("lost", Unreachable), ("unheard", Unreachable), ("throttled", Throttled), ("gone", Gone)]
)
async def test_what_goes_wrong_is_told_apart_and_a_repetition_says_it_once(
    stage: Stage, kind: Trouble, error: type[SurfaceError]
) -> None:
    since = time.time() - 60
    stage.trouble(kind)
    with pytest.raises(error):
        await stage.opening().post(KEY, "Hello.", "")
    stage.mend()
    await say(stage.opening(), KEY, "Hello.", since=since, doubtful=True)
    assert stage.said() == ["Hello."]


async def test_the_guard_is_awaited_before_each_call(stage: Stage) -> None:
    async def lost() -> None:
        raise Fenced

    before = stage.calls()
    with pytest.raises(Fenced):
        await stage.opening(lost).post(KEY, "Hello.", "")
    with pytest.raises(Fenced):
        await stage.opening(lost).find(KEY, "Hello.", time.time())
    assert stage.calls() == before
    assert stage.said() == []
