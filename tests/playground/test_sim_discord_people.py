"""The people's side of the simulated Discord, and the small parts it is made of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.playground.discord import Change, DiscordWorld, Poll
from bridge.playground.discord.feed import MAX_WAITING, Feed
from bridge.playground.discord.files import FileStore, make_attachment, plain_name
from bridge.playground.discord.limits import MAX_WINDOWS, SEND, Limits
from bridge.playground.discord.mentions import find_mentions, find_unfurls
from bridge.playground.discord.model import Upload
from bridge.playground.discord.sessions import MAX_REPLAY, Intent, Session
from bridge.playground.discord.snowflake import Snowflakes, seconds_of
from bridge.playground.discord.state import MAX_MESSAGES


async def test_a_watcher_sees_what_happens() -> None:
    world = DiscordWorld()
    watch = world.watch()
    said = await world.say("ada", "general", "hello")
    await world.edit("ada", "general", said, "hello, all")
    await world.react("grace", "general", said, "👍")
    await world.type_in("grace", "general")
    thread = await world.open_thread("grace", "general", "on that", on=said)
    await world.delete("ada", "general", said)
    watch.close()
    seen = [(change.kind, change.channel_id, change.message_id) async for change in watch]
    general = world.place("general").id
    starter = world.messages(thread)[0].id
    assert seen == [
        ("posted", general, said),
        ("changed", general, said),
        ("reaction", general, said),
        ("typing", general, None),
        ("thread", thread, None),
        ("changed", general, said),
        ("posted", thread, starter),
        ("deleted", general, said),
    ]


async def test_a_slow_watcher_is_told_that_it_missed_something() -> None:
    feed = Feed()
    watch = feed.watch()
    for number in range(MAX_WAITING + 2):
        feed.publish(Change("posted", message_id=number))
    watch.close()
    seen = [change async for change in watch]
    assert [change.kind for change in seen] == ["lost", "posted"]
    assert seen[-1].message_id == MAX_WAITING + 1


async def test_waiting_for_something_ends_in_time() -> None:
    world = DiscordWorld()
    waiting = asyncio.create_task(world.until(lambda: world.messages("general")))
    await asyncio.sleep(0)
    said = await world.say("ada", "general", "hello")
    assert [message.id for message in await waiting] == [said]
    with pytest.raises(TimeoutError):
        await world.until(lambda: False, timeout=0.01)


async def test_people_and_places_have_names_and_ids() -> None:
    world = DiscordWorld()
    ada, general = world.person("ada"), world.place("general")
    assert world.person(str(ada.id)) is world.person(ada.id) is ada
    assert world.place(str(general.id)) is general
    assert world.typed("Hi @ada and @Threadbridge in #random, a@b.c") == (
        f"Hi <@{ada.id}> and {world.mention} in <#{world.place('random').id}>, a@b.c"
    )
    with pytest.raises(KeyError):
        world.person("nobody")


async def test_what_people_cannot_do() -> None:
    world = DiscordWorld()
    said = await world.say("ada", "general", "mine")
    with pytest.raises(PermissionError):
        await world.edit("grace", "general", said, "yours")
    with pytest.raises(PermissionError):
        await world.delete("grace", "general", said)
    with pytest.raises(ValueError, match="text or a file"):
        await world.say("ada", "general", "  ")
    with pytest.raises(ValueError, match="4000"):
        await world.say("ada", "general", "x" * 4001)
    with pytest.raises(ValueError, match="posts"):
        await world.say("ada", "help", "hello")
    with pytest.raises(ValueError, match="10 files"):
        await world.say("ada", "general", files=[("a", "text/plain", b"a")] * 11)
    with pytest.raises(ValueError, match="10485760 bytes"):
        await world.say("ada", "general", files=[("a", "text/plain", b"a" * 10_485_761)])
    with pytest.raises(ValueError, match="text or a file"):
        await world.edit("ada", "general", said, "")
    with pytest.raises(KeyError):
        await world.say("ada", "general", "reply", reply_to=1)
    with pytest.raises(LookupError):
        await world.command("ada", "general", "unknown")
    with pytest.raises(LookupError):
        await world.press("ada", said, "unknown")
    assert [message.content for message in world.messages("general")] == ["mine"]


async def test_a_channel_forgets_its_oldest_messages() -> None:
    world = DiscordWorld()
    ids = [await world.say("ada", "general", "x") for _ in range(MAX_MESSAGES + 1)]
    assert [message.id for message in world.messages("general")] == ids[1:]


async def test_reacting_twice_counts_once() -> None:
    world = DiscordWorld()
    said = await world.say("ada", "general", "hello")
    for _ in range(2):
        await world.react("grace", "general", said, "👍")
    assert world.messages("general")[0].reactions == {"👍": [world.person("grace").id]}
    await world.unreact("grace", "general", said, "👍")
    assert world.messages("general")[0].reactions == {}


# --- snowflakes ----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(1_500_000_000, 1_900_000_000), min_size=1, max_size=50))
def test_ids_grow_whatever_the_clock_does(times: list[float]) -> None:
    clock = iter(times)
    ids = Snowflakes(lambda: next(clock))
    taken = [ids.take() for _ in times]
    assert taken == sorted(set(taken))
    assert abs(seconds_of(taken[0]) - times[0]) < 0.002


# --- mentions and links --------------------------------------------------------------------------------------

MENTIONS: list[tuple[str, dict[str, Any] | None, tuple[list[int], list[int], set[str]]]] = [
    ("hi <@1> <@!2> <@1>", None, ([1, 2], [], set())),
    ("<@&3> @everyone, @here", None, ([], [3], {"@everyone", "@here"})),
    ("`<@1>` ``<@2>`` ```\n@everyone\n``` <@3>", None, ([3], [], set())),
    ("someone@everyone", None, ([], [], {"@everyone"})),
    ("@everyonelse", None, ([], [], set())),
    ("<@1> <@&3> @here", {"parse": []}, ([], [], set())),
    ("<@1> <@2>", {"users": ["2"]}, ([2], [], set())),
    ("<@1> <@&3> @here", {"parse": ["users", "roles"]}, ([1], [3], set())),
    ("<@&3> <@&4> @here", {"parse": ["everyone"], "roles": ["4"]}, ([], [4], {"@here"})),
]


@pytest.mark.parametrize(("text", "allowed", "found"), MENTIONS)
def test_whom_a_text_mentions(
    text: str, allowed: dict[str, Any] | None, found: tuple[list[int], list[int], set[str]]
) -> None:
    mentions = find_mentions(text, allowed)
    assert (mentions.users, mentions.roles, mentions.everyone) == found


LINKS = [
    ("see https://a.example/b?c=d.", ["https://a.example/b?c=d"]),
    ("[named](http://a.example/b)", ["http://a.example/b"]),
    ("<https://a.example> and https://b.example", ["https://b.example"]),
    ("[named](<https://a.example>)", []),
    ("`https://a.example` ```https://b.example```", []),
    ("https://a.example https://a.example", ["https://a.example"]),
    ("ftp://a.example a.example", []),
]


@pytest.mark.parametrize(("text", "urls"), LINKS)
def test_what_a_text_makes_discord_fetch(text: str, urls: list[str]) -> None:
    assert find_unfurls(text) == urls


# --- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("notes.txt", "notes.txt"),
        ("my notes.txt", "my_notes.txt"),
        ("../../etc/passwd", "....etcpasswd".lstrip(".")),
        ("Größe.csv", "Gre.csv"),
        ("报告", "unknown"),
        (".env", "env"),
    ],
)
def test_names_of_files(name: str, kept: str) -> None:
    assert plain_name(name) == kept
    upload = Upload(name, "", b"")
    assert (make_attachment(upload, attachment_id=1, channel_id=2).title is None) == (name == kept)


def test_a_title_may_be_given() -> None:
    upload = Upload("f.csv", "text/csv", b"", title="报告")
    made = make_attachment(upload, attachment_id=1, channel_id=2)
    assert (made.name, made.title) == ("f.csv", "报告")


@pytest.mark.parametrize(
    ("question", "answers"), [("x" * 301, ("a",)), ("x", ("a" * 56,)), ("x", ()), ("x", ("a",) * 11)]
)
def test_a_poll_that_discord_would_not_take(question: str, answers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no poll"):
        Poll(question, answers)


def test_the_oldest_files_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.playground.discord.files.MAX_KEPT", 10)
    store = FileStore(lambda: 0.0)
    for number in (1, 2, 3):
        upload = Upload("a", "text/plain", b"1234")
        store.add(make_attachment(upload, attachment_id=number, channel_id=1), upload.data)
    assert [store.read(number) is not None for number in (1, 2, 3)] == [False, True, True]


# --- what is bounded -----------------------------------------------------------------------------------------


def test_a_session_replays_so_much_and_no_more() -> None:
    session = Session(Intent(0), (0, 1))
    for number in range(MAX_REPLAY + 5):
        session.dispatch("EVENT", {"number": number})
    assert session.missed_since(4) is None
    missed = session.missed_since(5)
    assert missed is not None
    assert [frame["s"] for frame in missed] == list(range(6, MAX_REPLAY + 6))
    assert session.missed_since(MAX_REPLAY + 5) == []
    assert session.missed_since(MAX_REPLAY + 6) is None


def test_windows_of_limits_do_not_pile_up() -> None:
    limits = Limits(lambda: 0.0)
    for number in range(MAX_WINDOWS + 10):
        limits.take(SEND, str(number))
    assert len(limits._windows) == MAX_WINDOWS
