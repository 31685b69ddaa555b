"""What the reply relies on: every surface passes it, the one in memory that the turns' tests use too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from adapters.base import Step
from bridge.render.data import Data
from bridge.turns.surface import (
    NO_PROGRESS,
    Button,
    Draws,
    Gone,
    PartKey,
    PartKind,
    Progress,
    Refused,
    Sending,
    Surface,
    SurfaceError,
    Throttled,
    Unreachable,
    Upload,
)
from tests.contract.stages import (
    TALK,
    Stage,
    Trouble,
    discord_stage,
    flat_discord_stage,
    flat_slack_stage,
    memory_stage,
    slack_stage,
)

pytestmark = pytest.mark.contract

TURN = "turn000000000001"
KEY = PartKey(TURN, PartKind.TEXT, 0)
AGAIN = Button("retry", "Send it again", TURN)
LEAVE = Button("abandon", "Leave it", TURN)
STOP = Button("stop", "Stop", TURN)
THREADS = {"memory": memory_stage, "slack": slack_stage, "discord": discord_stage}
STAGES = THREADS | {"flat slack": flat_slack_stage, "flat discord": flat_discord_stage}
# An ordinary message of Slack's doesn't show that it grows.
SHOWING_GROWTH = [name for name in STAGES if name != "flat slack"]


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with STAGES[request.param]() as stage:
        yield stage


# Files in memory have no addresses, and what was said before is given there.
real_platforms = pytest.mark.parametrize("stage", [name for name in STAGES if name != "memory"], indirect=True)


# Where `Draws` is implemented.
drawing_platforms = pytest.mark.parametrize("stage", ["slack"], indirect=True)


@pytest.fixture
def surface(stage: Stage) -> Surface:
    return stage.surface()


def a_file(folder: Path, name: str = "report.md", content: bytes = b"# Report\n") -> Upload:
    path = folder / name
    path.write_bytes(content)
    return Upload(name, path, "text/markdown", len(content))


async def post_again(surface: Surface, stage: Stage, key: PartKey, text: str, *, last: bool) -> str:
    """What whoever doesn't know whether a part was posted does."""
    found = await surface.find(key, after=stage.asked, known=set())
    return found or await surface.post(key, text, last=last)


async def test_a_part_that_is_posted_whole(stage: Stage, surface: Surface) -> None:
    message_id = await surface.post(KEY, "All of it.", last=True, buttons=(AGAIN, LEAVE))
    [shown] = stage.shown()
    assert (shown.id, shown.text, shown.growing) == (message_id, "All of it.", False)
    assert list(shown.buttons) == ["Send it again", "Leave it"]


@pytest.mark.parametrize("stage", SHOWING_GROWTH, indirect=True)
async def test_a_part_that_grows(stage: Stage, surface: Surface) -> None:
    steps = ["First", "First words", "First words and", "First words and more."]
    message_id = await surface.post(KEY, steps[0], last=False, buttons=(STOP,))
    assert stage.shown()[0].growing
    for before, text in pairwise(steps[:-1]):
        await surface.edit(KEY, message_id, text, shown=before, last=False, buttons=(STOP,))
        assert [message.text for message in stage.shown()] == [text]
    await surface.edit(KEY, message_id, steps[-1], shown=steps[-2], last=True)
    [shown] = stage.shown()
    assert (shown.id, shown.text, shown.growing) == (message_id, steps[-1], False)
    assert not shown.buttons


async def test_the_last_edit_may_bring_buttons_and_be_repeated(stage: Stage, surface: Surface) -> None:
    message_id = await surface.post(KEY, "Words", last=False, buttons=(STOP,))
    for shown in ("Words", "Words and more.", None):
        await surface.edit(KEY, message_id, "Words and more.", shown=shown, last=True, buttons=(AGAIN,))
    [message] = stage.shown()
    assert (message.text, message.growing) == ("Words and more.", False)
    assert list(message.buttons) == ["Send it again"]


UNDER = (
    Button("again", "Regenerate", TURN),
    Button("rate", "Good answer", TURN, "good"),
    Button("rate", "Bad answer", TURN, "bad"),
    Button("files", "Files", TURN),
)


async def test_what_stands_under_an_answer_comes_with_its_last_edit_and_in_no_other_call(
    stage: Stage, surface: Surface
) -> None:
    message_id = await surface.post(KEY, "Words", last=False, buttons=(STOP,))
    before = stage.calls()
    await surface.edit(KEY, message_id, "Words and more.", shown="Words", last=True, buttons=UNDER)
    assert stage.calls() - before == 1
    for again in (surface, stage.surface()):
        await again.edit(KEY, message_id, "Words and more.", shown=None, last=True, buttons=UNDER)
        [message] = stage.shown()
        assert message.text == "Words and more."
        assert set(message.buttons) == {button.label for button in UNDER}
    other = PartKey(TURN, PartKind.TEXT, 1)
    await surface.post(other, "At once.", last=True, buttons=UNDER[1:3])
    assert set(stage.shown()[-1].buttons) == {"Good answer", "Bad answer"}


def progress_for(surface: Surface, title: str) -> Progress:
    """As the reply gives it: cards where they are shown, else a line."""
    return Progress(title, (Step("a", title, detail="a detail"),) if surface.style.cards else ())


@pytest.mark.parametrize("stage", SHOWING_GROWTH, indirect=True)
async def test_what_the_agent_does_is_shown_before_its_words_and_beside_them(
    stage: Stage, surface: Surface
) -> None:
    message_id = await surface.post(
        KEY, "", last=False, buttons=(STOP,), progress=progress_for(surface, "Searching")
    )
    for text, before, title in (
        ("First", "", "Searching"),
        ("First", "First", "Reading"),
        ("First words", "First", ""),
    ):
        progress = progress_for(surface, title) if title else NO_PROGRESS
        await surface.edit(KEY, message_id, text, shown=before, last=False, buttons=(STOP,), progress=progress)
        [shown] = stage.shown()
        assert (shown.id, shown.text.startswith(text), shown.growing) == (message_id, True, True)
    await surface.edit(KEY, message_id, "First words.", shown="First words", last=True)
    [shown] = stage.shown()
    assert (shown.text, shown.growing) == ("First words.", False)


async def test_what_another_process_showed_of_the_agents_work_goes_on(stage: Stage, surface: Surface) -> None:
    message_id = await stage.surface().post(
        KEY, "", last=False, buttons=(STOP,), progress=progress_for(surface, "Searching")
    )
    for _ in range(2):
        await surface.edit(
            KEY, message_id, "", shown=None, last=False, buttons=(STOP,), progress=progress_for(surface, "Reading")
        )
    await stage.surface().edit(KEY, message_id, "The answer.", shown=None, last=True)
    [shown] = stage.shown()
    assert (shown.id, shown.text, shown.growing) == (message_id, "The answer.", False)


async def test_a_part_without_words_is_found_again(stage: Stage, surface: Surface) -> None:
    stage.trouble("unheard")
    with pytest.raises(Unreachable):
        await surface.post(KEY, "", last=False, progress=progress_for(surface, "Searching"))
    successor = stage.surface()
    found = await successor.find(KEY, after=stage.asked, known=set())
    if found is None:
        found = await successor.post(KEY, "Words.", last=True)
    else:
        await successor.edit(KEY, found, "Words.", shown=None, last=True)
    assert [(shown.id, shown.text) for shown in stage.shown()] == [(found, "Words.")]


REQUEST = PartKey(TURN, PartKind.REQUEST)
WRITE, APPROVE, DECLINE = (
    Button("answer", "Write an answer", TURN),
    Button("approve", "Approve", TURN),
    Button("decline", "Decline", TURN),
)


def choices(count: int) -> list[Button]:
    return [Button("choose", f"Choice {number}", TURN, str(number)) for number in range(count)]


async def test_few_choices_can_be_pressed(stage: Stage, surface: Surface) -> None:
    await surface.post(REQUEST, "Which one?", last=True, buttons=(*choices(5), WRITE, LEAVE))
    [shown] = stage.shown()
    assert list(shown.buttons) == [*(one.label for one in choices(5)), "Write an answer", "Leave it"]


async def test_many_choices_can_be_picked(stage: Stage, surface: Surface) -> None:
    many = choices(surface.style.max_choices)
    await surface.post(REQUEST, "Which one?", last=True, buttons=(*many, WRITE, LEAVE))
    [shown] = stage.shown()
    offered = set(shown.buttons) | set(shown.options)
    assert {one.label for one in (*many, WRITE, LEAVE)} <= offered


@pytest.mark.parametrize("buttons", [(APPROVE, DECLINE), (*choices(9), WRITE, LEAVE)], ids=["approval", "choices"])
async def test_what_was_settled_has_no_buttons_whoever_says_so(stage: Stage, buttons: tuple[Button, ...]) -> None:
    """Another process, which knows nothing but the message's id; once more after a crash."""
    surface = stage.surface()
    text = (
        f"Wipe it?\n\nUntil {surface.style.dialect.moment.format(at=1_800_000_000, utc='2027-01-15 08:00 UTC')}."
    )
    message_id = await surface.post(REQUEST, text, last=True, buttons=buttons)
    for _ in range(2):
        successor = stage.surface()
        async with successor.slot(Sending.LAST):
            await successor.edit(REQUEST, message_id, "Wipe it?\n\nApproved · Ann", shown=None, last=True)
        [shown] = stage.shown()
        assert (shown.id, shown.text) == (message_id, "Wipe it?\n\nApproved · Ann")
        assert (dict(shown.buttons), dict(shown.options)) == ({}, {})


async def test_a_part_that_another_process_left_growing(stage: Stage) -> None:
    message_id = await stage.surface().post(KEY, "First words", last=False, buttons=(STOP,))
    successor = stage.surface()
    await successor.edit(KEY, message_id, "First words and", shown=None, last=False, buttons=(STOP,))
    await successor.edit(KEY, message_id, "First words and the end.", shown=None, last=True)
    [shown] = stage.shown()
    assert (shown.id, shown.text, shown.growing) == (message_id, "First words and the end.", False)
    assert not shown.buttons


@pytest.mark.parametrize("filler", ["word ", "längst ", "日本語 ", "🧵 ", "&<> "])
async def test_a_part_as_long_as_allowed(stage: Stage, surface: Surface, filler: str) -> None:
    style = surface.style
    text = filler
    while style.measure(text + filler) <= style.limit:
        text += filler
    text = text.strip()
    posted = await surface.post(KEY, text, last=True)
    second = PartKey(TURN, PartKind.TEXT, 1)
    growing = await surface.post(second, text[:10], last=False, buttons=(STOP,))
    await surface.edit(second, growing, text, shown=text[:10], last=True, buttons=(AGAIN,))
    assert [(message.id, message.text) for message in stage.shown()] == [(posted, text), (growing, text)]


@pytest.mark.parametrize("last", [False, True])
async def test_a_post_whose_answer_was_lost_is_not_posted_twice(stage: Stage, last: bool) -> None:
    surface = stage.surface()
    stage.trouble("unheard")
    with pytest.raises(Unreachable):
        await surface.post(KEY, "First words", last=last)
    [shown] = stage.shown()
    for again in (surface, stage.surface()):
        assert await post_again(again, stage, KEY, "First words", last=last) == shown.id
    assert len(stage.shown()) == 1


@pytest.mark.parametrize("final", ["First words", "First words and the end."])
async def test_a_repeated_post_that_knows_more_shows_more(stage: Stage, final: str) -> None:
    stage.trouble("unheard")
    with pytest.raises(Unreachable):
        await stage.surface().post(KEY, "First words", last=False, buttons=(STOP,))
    successor = stage.surface()
    found = await successor.find(KEY, after=stage.asked, known=set())
    if found is None:
        await successor.post(KEY, final, last=True)
    else:
        await successor.edit(KEY, found, final, shown=None, last=True)
    [shown] = stage.shown()
    assert (shown.text, shown.growing) == (final, False)


async def test_a_part_that_was_never_posted_is_not_found(stage: Stage, surface: Surface) -> None:
    assert await surface.find(KEY, after=stage.asked, known=set()) is None
    message_id = await surface.post(KEY, "The first part.", last=True)
    assert (
        await stage.surface().find(PartKey(TURN, PartKind.TEXT, 1), after=stage.asked, known={message_id}) is None
    )


async def test_files_arrive_as_they_are(stage: Stage, surface: Surface, tmp_path: Path) -> None:
    content = bytes(range(256)) * 30
    upload = a_file(tmp_path, content=content)
    message_id = await surface.upload(PartKey(TURN, PartKind.FILE), [upload], "Here it is.")
    [shown] = stage.shown()
    assert shown.id == message_id
    assert shown.text == "Here it is."
    assert shown.files == {"report.md": content}


async def test_an_upload_whose_answer_was_lost_is_not_sent_twice(stage: Stage, tmp_path: Path) -> None:
    key = PartKey(TURN, PartKind.FILE)
    upload = a_file(tmp_path)
    stage.trouble("unheard upload")
    with pytest.raises(Unreachable):
        await stage.surface().upload(key, [upload])
    successor = stage.surface()
    if await successor.find(key, after=stage.asked, known=set()) is None:
        await successor.upload(key, [upload])
    [shown] = stage.shown()
    assert shown.files == {"report.md": b"# Report\n"}


@drawing_platforms
async def test_a_drawing_whose_answer_was_lost_is_not_posted_twice(stage: Stage) -> None:
    key, data = PartKey(TURN, PartKind.DRAWN), Data("sales", ["city", "units"], [["Bern", 5]])
    surface = stage.surface()
    assert isinstance(surface, Draws)
    assert surface.drawable(data) == 1
    assert surface.drawable(Data("nothing", [], [])) == 0
    stage.trouble("unheard")
    with pytest.raises(Unreachable):
        await surface.draw(key, data)
    [shown] = stage.shown()
    assert await stage.surface().find(key, after=stage.asked, known=set()) == shown.id
    assert (
        await stage.surface().find(PartKey(TURN, PartKind.DRAWN, 1), after=stage.asked, known={shown.id}) is None
    )


async def test_delete_takes_a_part_away_once(stage: Stage, surface: Surface) -> None:
    stays = await surface.post(KEY, "This stays.", last=True)
    goes = await surface.post(PartKey(TURN, PartKind.TEXT, 1), "This goes.", last=True)
    growing = await surface.post(PartKey(TURN, PartKind.TEXT, 2), "This too", last=False)
    for message_id in (goes, growing, goes):
        await surface.delete(message_id)
    await stage.surface().delete(growing)
    assert [message.id for message in stage.shown()] == [stays]


@pytest.mark.parametrize("stage", THREADS, indirect=True)  # a channel's talk isn't what a thread said before
async def test_what_was_said_before(stage: Stage, surface: Surface) -> None:
    earlier = await surface.earlier(stage.asked)
    assert [(said.author_name, said.text) for said in earlier] == [
        (stage.name(who), text) for who, text in TALK[:-1]
    ]


@pytest.mark.parametrize("stage", [name for name in THREADS if name != "memory"], indirect=True)
async def test_its_own_messages_are_not_what_was_said_before(stage: Stage, surface: Surface) -> None:
    await surface.post(KEY, "My own words.", last=True)
    later = await stage.say("grace", "and now?")
    assert [said.text for said in await surface.earlier(later)] == [text for _, text in TALK]


async def test_an_attachment_is_fetched_within_bounds(stage: Stage, surface: Surface, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    file = await stage.attach(content)
    to = tmp_path / "fetched"
    await surface.fetch(file, to, len(content))
    assert to.read_bytes() == content

    with pytest.raises(Refused):
        await surface.fetch(file, tmp_path / "too large", len(content) - 1)
    with pytest.raises(Refused):  # whatever the platform said of its size
        await surface.fetch(replace(file, size=1), tmp_path / "too large", len(content) - 1)
    assert not (tmp_path / "too large").exists()


@real_platforms
@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/notes.txt",
        "http://127.0.0.1:9/notes.txt",
        "file:///etc/passwd",
        "//example.com/x",
        "https://files.slack.com@example.com/x",
        "https://cdn.discordapp.com.example.com/x",
        "https://cdn.discordapp.com:8443/x",
    ],
)
async def test_an_attachment_elsewhere_is_refused(
    stage: Stage, surface: Surface, tmp_path: Path, url: str
) -> None:
    file = replace(await stage.attach(b"x"), url=url)
    with pytest.raises(Refused):
        await surface.fetch(file, tmp_path / "fetched", 100)
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize("trouble", ["lost", "unheard", "throttled", "gone"])
async def test_a_sign_of_life_never_raises(stage: Stage, surface: Surface, trouble: Trouble) -> None:
    for label in ("", "Reading the file", "x" * 500, None):
        stage.trouble(trouble)
        await surface.working(label)
        stage.mend()
    await surface.post(KEY, "And yet it speaks.", last=True)
    assert [message.text for message in stage.shown()] == ["And yet it speaks."]


@pytest.mark.parametrize(
    ("trouble", "raised"),
    [("lost", Unreachable), ("unheard", Unreachable), ("throttled", Throttled), ("gone", Gone)],
)
async def test_failures_are_told_apart(
    stage: Stage, surface: Surface, tmp_path: Path, trouble: Trouble, raised: type[SurfaceError]
) -> None:
    message_id = await surface.post(KEY, "First words", last=True)
    second = PartKey(TURN, PartKind.TEXT, 1)
    for call in (
        lambda: surface.post(second, "More", last=True),
        lambda: surface.post(second, "More", last=False),
        lambda: surface.edit(KEY, message_id, "First words, again", shown=None, last=True),
        lambda: surface.upload(PartKey(TURN, PartKind.FILE), [a_file(tmp_path)]),
    ):
        stage.trouble(trouble)
        with pytest.raises(raised) as error:
            await call()
        assert type(error.value) is raised
        assert "First words" not in str(error.value)
        if isinstance(error.value, Throttled):
            assert error.value.retry_after in (pytest.approx(stage.delay, abs=1), 0.01)
            return  # the SDK remembers it, and lets nothing through until then
        stage.mend()


async def test_a_message_that_is_gone(stage: Stage, surface: Surface) -> None:
    message_id = await surface.post(KEY, "First words", last=True)
    await surface.delete(message_id)
    with pytest.raises(Gone):
        await surface.edit(KEY, message_id, "First words and more", shown="First words", last=True)


async def test_a_part_whose_text_nobody_knows_any_more_ends_as_it_is(stage: Stage) -> None:
    message_id = await stage.surface().post(KEY, "The first words", last=False, buttons=(STOP,))
    for _ in range(2):  # it may be asked for again
        await stage.surface().close(KEY, message_id)
    [shown] = stage.shown()
    assert (shown.text.strip(), shown.growing, dict(shown.buttons)) == ("The first words", False, {})
