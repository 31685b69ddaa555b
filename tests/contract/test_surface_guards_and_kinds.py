"""Every kind of part, every call's guard, and codes that nobody knows: what a surface must hold for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bridge.inbound import Person
from bridge.turns.surface import (
    Button,
    Fenced,
    PartKey,
    PartKind,
    Sending,
    Surface,
    Unreachable,
    Upload,
)
from tests.contract.stages import Stage, discord_stage, memory_stage, slack_stage

pytestmark = pytest.mark.contract

TURN = "turn000000000001"
STOP = Button("stop", "Stop", TURN)
STAGES = {"memory": memory_stage, "slack": slack_stage, "discord": discord_stage}
REMOTE = ("slack", "discord")  # the one in memory makes no requests and knows no codes


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with STAGES[request.param]() as stage:
        yield stage


remote = pytest.mark.parametrize("stage", REMOTE, indirect=True)


def a_file(folder: Path, name: str = "report.md") -> Upload:
    path = folder / name
    path.write_bytes(b"# Report\n")
    return Upload(name, path, "text/markdown", 9)


async def put(surface: Surface, key: PartKey, folder: Path) -> str:
    """Post a part of whatever kind."""
    if key.kind.is_upload:
        return await surface.upload(key, [a_file(folder)], "Here it is.")
    return await surface.post(key, f"Words of {key.kind.name}.", last=True)


# --- every kind of part --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PartKind)
async def test_a_part_of_each_kind_is_posted_and_found(stage: Stage, tmp_path: Path, kind: PartKind) -> None:
    key = PartKey(TURN, kind, 3)
    message_id = await put(stage.surface(), key, tmp_path)
    assert [shown.id for shown in stage.shown()] == [message_id]
    assert await stage.surface().find(key, after=stage.asked, known=set()) == message_id


@pytest.mark.parametrize("kind", PartKind)
async def test_a_part_of_each_kind_whose_answer_was_lost_is_there_once(
    stage: Stage, tmp_path: Path, kind: PartKind
) -> None:
    key = PartKey(TURN, kind)
    stage.trouble("unheard upload" if kind.is_upload else "unheard")
    with pytest.raises(Unreachable):
        await put(stage.surface(), key, tmp_path)
    successor = stage.surface()
    found = await successor.find(key, after=stage.asked, known=set())
    assert found is not None
    assert [shown.id for shown in stage.shown()] == [found]


@pytest.mark.parametrize("lost", PartKind)
@remote
async def test_no_kind_is_taken_for_another(stage: Stage, tmp_path: Path, lost: PartKind) -> None:
    """Every other kind stands there, and this one was never posted."""
    known = {await put(stage.surface(), PartKey(TURN, kind), tmp_path) for kind in PartKind if kind is not lost}
    assert await stage.surface().find(PartKey(TURN, lost), after=stage.asked, known=known) is None


@remote
async def test_what_a_stream_shows_is_not_taken_for_a_notice(stage: Stage) -> None:
    """A stream carries no key, and perhaps nobody knows it."""
    await stage.surface().post(PartKey(TURN, PartKind.TEXT), "First", last=False)
    for kind in (PartKind.NOTICE, PartKind.REST, *(kind for kind in PartKind if kind.is_upload)):
        assert await stage.surface().find(PartKey(TURN, kind), after=stage.asked, known=set()) is None


# --- the guard -----------------------------------------------------------------------------------------------


class Guarding:
    """Counts, and lets nothing out once the thread is another's."""

    def __init__(self) -> None:
        self.awaited = 0
        self.lost = False

    async def __call__(self) -> None:
        if self.lost:
            raise Fenced
        self.awaited += 1


async def everything(
    stage: Stage, surface: Surface, folder: Path
) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Each call of the contract, in a row that makes sense."""
    text, notice, file = (PartKey(TURN, kind) for kind in (PartKind.TEXT, PartKind.NOTICE, PartKind.FILE))
    attachment = await stage.attach(b"notes")
    ids: list[str] = []

    async def keep(posting: Awaitable[str]) -> None:
        ids.append(await posting)

    yield lambda: surface.resolve(Person("U0"), "hello")
    yield lambda: surface.mark_waiting(stage.asked, True)
    yield lambda: surface.mark_waiting(stage.asked, False)
    yield lambda: keep(surface.post(text, "One", last=False, buttons=(STOP,)))
    yield lambda: surface.edit(text, ids[0], "One two", shown="One", last=False, buttons=(STOP,))
    yield lambda: surface.edit(text, ids[0], "Two", shown="One two", last=False, buttons=(STOP,))
    yield lambda: surface.edit(text, ids[0], "Two three.", shown="Two", last=True)
    yield lambda: keep(surface.post(notice, "Note.", last=True))
    yield lambda: surface.edit(notice, ids[1], "Note!", shown=None, last=True)
    yield lambda: surface.delete(ids[1])
    yield lambda: surface.upload(file, [a_file(folder)], "Here")
    yield lambda: surface.find(PartKey(TURN, PartKind.TABLE), after=stage.asked, known=set())
    yield lambda: surface.earlier(stage.asked)
    yield lambda: surface.fetch(attachment, folder / "fetched", 100)
    yield lambda: surface.say_undeliverable(stage.asked, "It can't be said.")
    yield lambda: surface.working(None)


@remote
async def test_the_guard_is_awaited_before_each_call(stage: Stage, tmp_path: Path) -> None:
    guard = Guarding()
    surface = stage.surface(guard)
    before = stage.calls()
    async for call in everything(stage, surface, tmp_path):
        async with surface.slot(Sending.GROWTH):
            await call()
        assert stage.calls() - before == guard.awaited
    assert guard.awaited > 15


@remote
async def test_the_guard_is_awaited_before_each_repeat_and_fallback(stage: Stage) -> None:
    guard = Guarding()
    surface = stage.surface(guard)
    before = stage.calls()
    stage.trouble("unknown")
    with pytest.raises(Unreachable):
        await surface.post(PartKey(TURN, PartKind.TEXT), "One", last=False)
    with pytest.raises(Unreachable):
        await surface.find(PartKey(TURN, PartKind.TEXT), after=stage.asked, known=set())
    assert not await surface.say_undeliverable(stage.asked, "It can't be said.")
    stage.mend()
    assert stage.calls() - before == guard.awaited >= 5


@remote
async def test_who_lost_the_thread_makes_no_call(stage: Stage, tmp_path: Path) -> None:
    guard = Guarding()
    surface = stage.surface(guard)
    key = PartKey(TURN, PartKind.TEXT)
    message_id = await surface.post(key, "One", last=False, buttons=(STOP,))
    guard.lost = True
    before = stage.calls()
    attachment = await stage.attach(b"notes")
    for call in (
        lambda: surface.post(key, "One", last=False),
        lambda: surface.post(key, "One", last=True),
        lambda: surface.edit(key, message_id, "One two", shown="One", last=False),
        lambda: surface.edit(key, message_id, "Two", shown="One", last=False),
        lambda: surface.edit(key, message_id, "One two", shown="One", last=True),
        lambda: surface.edit(key, message_id, "One two", shown=None, last=True),
        lambda: surface.delete(message_id),
        lambda: surface.upload(PartKey(TURN, PartKind.FILE), [a_file(tmp_path)]),
        lambda: surface.find(PartKey(TURN, PartKind.TABLE), after=stage.asked, known=set()),
        lambda: surface.earlier(stage.asked),
        lambda: surface.fetch(attachment, tmp_path / "fetched", 100),
    ):
        with pytest.raises(Fenced):
            await call()
    # These never raise.
    await surface.resolve(Person("U0"), "hello")
    await surface.mark_waiting(stage.asked, True)
    assert not await surface.say_undeliverable(stage.asked, "It can't be said.")
    await surface.working(None)
    assert stage.calls() == before


# --- codes that nobody knows ---------------------------------------------------------------------------------


@remote
async def test_an_unknown_refusal_ends_nothing(stage: Stage, tmp_path: Path) -> None:
    surface = stage.surface()
    key, second = PartKey(TURN, PartKind.TEXT), PartKey(TURN, PartKind.TEXT, 1)
    growing = await surface.post(key, "One", last=False)
    whole = await surface.post(second, "Two", last=True)
    attachment = await stage.attach(b"notes")
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: surface.post(PartKey(TURN, PartKind.TEXT, 2), "More", last=False),
        lambda: surface.post(PartKey(TURN, PartKind.NOTICE), "More", last=True),
        lambda: surface.edit(key, growing, "One and", shown="One", last=True),
        lambda: surface.edit(second, whole, "Two and", shown="Two", last=True),
        lambda: surface.edit(second, whole, "Two and", shown=None, last=True),
        lambda: surface.upload(PartKey(TURN, PartKind.FILE), [a_file(tmp_path)]),
        lambda: surface.find(PartKey(TURN, PartKind.FILE), after=stage.asked, known=set()),
        lambda: surface.earlier(stage.asked),
        lambda: surface.fetch(attachment, tmp_path / "fetched", 100),
    )
    for number, call in enumerate(calls):
        stage.trouble("unknown")
        if number != len(calls) - 1:
            with pytest.raises(Unreachable):
                await call()
        stage.mend()
    await surface.edit(key, growing, "One and the end.", shown="One", last=True)
    assert "".join(shown.text for shown in stage.shown()).count("and the end.") == 1
