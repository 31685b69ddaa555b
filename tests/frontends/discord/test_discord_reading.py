from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.frontends.discord import reading
from bridge.frontends.discord.reading import Heard, Spot
from bridge.inbound import Address
from bridge.turns.surface import Action, Button

GUILD, CHANNEL, THREAD, MESSAGE = 10, 20, 30, 40

DIRECT = Spot("direct", None, CHANNEL)
IN_CHANNEL = Spot("channel", GUILD, CHANNEL)
IN_THREAD = Spot("thread", GUILD, THREAD, CHANNEL)


def heard(
    spot: Spot,
    content: str = "hello",
    *,
    mentioned: bool = False,
    message: int = MESSAGE,
    has_files: bool = False,
    reply: bool = False,
    chain: int | None = None,
) -> Heard:
    return Heard(spot, message, content, mentioned, has_files, reply, chain)


def at(channel: int, thread: int, guild: str = "10") -> Address:
    return Address("discord", guild, str(channel), str(thread))


@pytest.mark.parametrize(
    ("message", "follows", "begins"),
    [
        pytest.param(heard(IN_CHANNEL), None, None, id="talk in a channel"),
        pytest.param(heard(IN_CHANNEL, mentioned=True), None, at(CHANNEL, MESSAGE), id="mention in a channel"),
        pytest.param(heard(IN_CHANNEL, reply=True), None, None, id="reply to anybody"),
        pytest.param(heard(IN_CHANNEL, reply=True, chain=35), at(CHANNEL, 35), None, id="reply in a chain"),
        pytest.param(
            heard(IN_CHANNEL, mentioned=True, reply=True, chain=35),
            at(CHANNEL, 35),
            at(CHANNEL, MESSAGE),
            id="mention in a reply in what may be a chain",
        ),
        pytest.param(heard(IN_THREAD), at(CHANNEL, THREAD), None, id="talk in a thread"),
        pytest.param(
            heard(IN_THREAD, mentioned=True), at(CHANNEL, THREAD), at(CHANNEL, THREAD), id="mention in a thread"
        ),
        pytest.param(heard(DIRECT), None, at(CHANNEL, CHANNEL, ""), id="direct message"),
    ],
)
def test_which_thread_a_message_is_of(message: Heard, follows: Address | None, begins: Address | None) -> None:
    assert reading.follows(message) == follows
    assert reading.begins(message) == begins


@pytest.mark.parametrize(
    ("spot", "chain", "expected"),
    [
        (IN_THREAD, None, (at(CHANNEL, THREAD),)),
        (DIRECT, None, (at(CHANNEL, CHANNEL, ""),)),
        (IN_CHANNEL, None, (at(CHANNEL, MESSAGE),)),
        (IN_CHANNEL, 35, (at(CHANNEL, 35), at(CHANNEL, MESSAGE))),
    ],
)
def test_where_a_changed_message_may_have_been_a_question(
    spot: Spot, chain: int | None, expected: tuple[Address, ...]
) -> None:
    assert reading.places(spot, MESSAGE, chain) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (heard(IN_THREAD, "<@99> shall we go?"), True),
        (heard(IN_THREAD, "  <@!99> shall we go?"), True),
        (heard(IN_THREAD, "<@&77> look"), True),
        (heard(IN_THREAD, "@everyone lunch"), True),
        (heard(IN_THREAD, "@here lunch"), True),
        (heard(IN_THREAD, "<@99> and <@1>, what now?", mentioned=True), False),
        (heard(IN_THREAD, "what does <@99> think?"), False),
        (heard(IN_THREAD, "@everybody"), False),
        (heard(IN_THREAD, "<#55> is the place"), False),
    ],
)
def test_people_who_talk_to_each_other(message: Heard, expected: bool) -> None:
    assert reading.is_aside(message) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (heard(IN_THREAD, "words"), True),
        (heard(IN_THREAD, "", has_files=True), True),
        (heard(IN_THREAD, "", mentioned=True), True),
        (heard(IN_THREAD, " \n"), False),
    ],
)
def test_what_says_something(message: Heard, expected: bool) -> None:
    assert reading.says_something(message) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(heard(IN_THREAD), True, id="called into a thread"),
        pytest.param(heard(IN_THREAD, message=THREAD), False, id="a forum post's first message"),
        pytest.param(heard(IN_CHANNEL), False, id="a mention in a channel"),
        pytest.param(heard(IN_CHANNEL, reply=True), True, id="a mention by reply"),
        pytest.param(heard(DIRECT, reply=True), False, id="a direct message"),
    ],
)
def test_what_has_context(message: Heard, expected: bool) -> None:
    assert reading.has_context(message) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I deploy?", "How do I deploy?"),
        ("  two\n\nlines\t here ", "two lines here"),
        ("", "Conversation with Ann Lee"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
        (" ".join(["word"] * 30), " ".join(["word"] * 20) + "…"),
        ("word " * 19 + "longer", "word " * 18 + "word…"),
        ("a " + "x" * 120, "a " + "x" * 97 + "…"),
    ],
)
def test_thread_names(text: str, expected: str) -> None:
    assert reading.thread_name(text, "Ann  Lee") == expected


@given(st.text(), st.text(min_size=1))
def test_a_thread_name_always_fits(text: str, author: str) -> None:
    name = reading.thread_name(text, author)
    assert 1 <= len(name) <= reading.MAX_THREAD_NAME
    assert name == name.strip()


@pytest.mark.parametrize("action", ["stop", "retry", "abandon"])
def test_a_button_is_known_by_its_id(action: Action) -> None:
    name = reading.custom_id(Button(action, "Label", "0123456789abcdef"))
    assert len(name) <= 100  # Discord's limit
    assert reading.pressed(name) == (action, "0123456789abcdef", "")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "threadbridge",
        "threadbridge:stop",
        "threadbridge:fly:1",
        "other:stop:1",
        "threadbridge:stop:",
        "threadbridge:stop:1:2",
    ],
)
def test_other_buttons_are_not_ours(name: str) -> None:
    assert reading.pressed(name) is None
