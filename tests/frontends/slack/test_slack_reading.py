from __future__ import annotations

from typing import Any

import pytest

from bridge.frontends.slack.content import words
from bridge.frontends.slack.reading import (
    Deleted,
    Edited,
    Heard,
    Me,
    Pressed,
    Reading,
    Stopped,
    attached,
    mentioned,
    read_event,
    read_press,
)
from bridge.inbound import Address, Person, RemoteFile, position
from bridge.listening import Listening

ME = Me(team="T1", user="UBOT", bot="BBOT")
TS, ROOT = "1700000002.000300", "1700000001.000200"


def at(thread: str, channel: str = "C1") -> Address:
    return Address("slack", "T1", channel, thread)


def body(**event: Any) -> dict[str, Any]:
    said = {"type": "message", "channel": "C1", "user": "UADA", "text": "hello", "ts": TS} | event
    return {"type": "event_callback", "event_id": "Ev1", "team_id": "T1", "event": said}


def heard(**event: Any) -> Heard:
    reading = read_event(body(**event), ME)
    assert isinstance(reading, Heard)
    return reading


def test_a_message_is_its_thread_its_author_and_its_words() -> None:
    assert heard() == Heard(
        address=at(TS),
        event_id="Ev1",
        message_id=TS,
        person=Person("UADA"),
        text="hello",
        files=(),
        direct=False,
        called=False,
        to_others=False,
        in_thread=False,
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({}, {"called": False, "direct": False, "in_thread": False, "to_others": False}),
        ({"text": "<@UBOT> hello"}, {"called": True, "to_others": False}),
        ({"text": "hello <@UBOT|bot>!"}, {"called": True}),
        ({"type": "app_mention", "text": "<@UBOT> hi"}, {"called": True, "address": at(TS)}),
        ({"thread_ts": ROOT}, {"in_thread": True, "address": at(ROOT)}),
        ({"thread_ts": TS}, {"in_thread": False, "address": at(TS)}),
        ({"channel": "D1", "channel_type": "im"}, {"direct": True, "address": at(TS, "D1")}),
        ({"channel": "D1"}, {"direct": True}),
        ({"channel_type": "mpim"}, {"direct": False}),
        ({"text": "<@UGRACE> what do you think?"}, {"to_others": True}),
        ({"text": "  <@UGRACE|grace>: lunch?"}, {"to_others": True}),
        ({"text": "<!subteam^S1|@team> lunch?"}, {"to_others": True}),
        ({"text": "<@UGRACE> and <@UBOT>: lunch?"}, {"to_others": False, "called": True}),
        ({"text": "ask <@UGRACE>"}, {"to_others": False}),
        ({"subtype": "file_share", "text": ""}, {"text": ""}),
        ({"subtype": "thread_broadcast", "thread_ts": ROOT}, {"in_thread": True}),
        ({"subtype": "me_message"}, {"person": Person("UADA")}),
        ({"text": None}, {"text": ""}),
    ],
)
def test_what_a_message_tells(event: dict[str, Any], expected: dict[str, object]) -> None:
    reading = heard(**event)
    assert {name: getattr(reading, name) for name in expected} == expected


@pytest.mark.parametrize(
    "event",
    [
        {"user": "UBOT"},
        {"user": "UADA", "bot_id": "BOTHER"},
        {"user": "UBOT", "bot_id": "BBOT"},
        {"user": None},
        {"user": "USLACKBOT"},
        {"subtype": "bot_message", "bot_id": "BOTHER"},
        {"subtype": "channel_join"},
        {"subtype": "channel_topic"},
        {"subtype": "pinned_item"},
        {"hidden": True},
        {"type": "reaction_added"},
        {"type": "app_home_opened", "tab": "messages"},
        {"type": "agent_session_stopped", "thread_ts": None},
    ],
)
def test_what_is_not_a_persons_message_is_left_alone(event: dict[str, Any]) -> None:
    assert read_event(body(**event), ME) is None


def test_a_payload_without_event_is_left_alone() -> None:
    assert read_event({"type": "event_callback"}, ME) is None


@pytest.mark.parametrize(
    ("event", "may_concern", "in_unknown", "in_known"),
    [
        ({}, False, False, True),
        ({"thread_ts": ROOT}, True, False, True),
        ({"text": "<@UBOT> hi"}, True, True, True),
        ({"text": "<@UGRACE> hi", "thread_ts": ROOT}, False, False, False),
        ({"text": "<@UGRACE> hi", "channel": "D1"}, True, True, True),
    ],
)
def test_whom_a_message_is_for(event: dict[str, Any], may_concern: bool, in_unknown: bool, in_known: bool) -> None:
    reading = heard(**event)
    assert reading.may_concern_us == may_concern
    assert reading.is_for_us(known=False) == in_unknown
    assert reading.is_for_us(known=True) == in_known


def changed(message: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    return {"subtype": "message_changed", "hidden": True, "message": message, "previous_message": before}


OLD = {"ts": ROOT, "user": "UADA", "text": "old"}
REPLY = {"ts": TS, "thread_ts": ROOT, "user": "UADA", "text": "old"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (changed({**OLD, "text": "new"}, OLD), Edited(at(ROOT), ROOT, "new", Person("UADA"))),
        (changed({**REPLY, "text": "new"}, REPLY), Edited(at(ROOT), TS, "new", Person("UADA"))),
        (changed({**OLD, "attachments": [{}]}, OLD), None),
        (changed({**OLD, "user": "UBOT", "text": "new"}, OLD), None),
        (changed({**OLD, "bot_id": "BOTHER", "text": "new"}, OLD), None),
        (changed({"ts": ROOT, "subtype": "tombstone", "user": "USLACKBOT"}, OLD), Deleted(at(ROOT), ROOT)),
        (
            {"subtype": "message_deleted", "deleted_ts": TS, "previous_message": REPLY},
            Deleted(at(ROOT), TS),
        ),
        ({"subtype": "message_deleted", "deleted_ts": TS, "previous_message": {"bot_id": "B", "user": "U"}}, None),
        ({"subtype": "message_deleted", "deleted_ts": TS}, None),
        (
            {"type": "agent_session_stopped", "thread_ts": ROOT, "streaming_message_ts": []},
            Stopped(at(ROOT)),
        ),
    ],
)
def test_edits_deletions_and_stops(event: dict[str, Any], expected: Reading | None) -> None:
    assert read_event(body(**event), ME) == expected


def press(**more: Any) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": "UADA"},
        "channel": {"id": "C1"},
        "container": {"channel_id": "C1", "message_ts": TS, "thread_ts": ROOT},
        "message": {"ts": TS, "thread_ts": ROOT},
        "actions": [{"action_id": "threadbridge:stop", "value": "turn1"}],
    } | more


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (press(), Pressed("stop", "turn1", "", at(ROOT), Person("UADA"))),
        (press(message=None), Pressed("stop", "turn1", "", at(ROOT), Person("UADA"))),
        (press(channel=None), Pressed("stop", "turn1", "", at(ROOT), Person("UADA"))),
        (
            press(message={"ts": TS}, container={}, actions=[{"action_id": "threadbridge:retry", "value": "t"}]),
            Pressed("retry", "t", "", at(TS), Person("UADA")),
        ),
        (press(actions=[{"action_id": "threadbridge:explode", "value": "turn1"}]), None),
        (press(actions=[{"action_id": "someone:else"}]), None),
        (press(actions=[]), None),
        (press(channel=None, container=None, message=None), None),
    ],
)
def test_presses(payload: dict[str, Any], expected: Pressed | None) -> None:
    assert read_press(payload, ME) == expected


def test_mentioned_people() -> None:
    assert mentioned("<@UADA> and <@W1|will>, not <!here> or <#C1>") == ["UADA", "W1"]


@pytest.mark.parametrize(
    ("ts", "expected"),
    [("1700000001.000200", 1700000001000200), ("1320000000000000001", 1320000000000000001), ("1.5", 1500000)],
)
def test_position(ts: str, expected: int) -> None:
    assert position(ts) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            {
                "id": "F1",
                "name": "a.txt",
                "mimetype": "text/plain",
                "size": 3,
                "url_private": "https://files.slack.com/a",
                "url_private_download": "https://files.slack.com/download/a",
            },
            (RemoteFile("F1", "a.txt", "text/plain", 3, "https://files.slack.com/download/a"),),
        ),
        ({"id": "F1"}, (RemoteFile("F1", "F1", "application/octet-stream", 0, ""),)),
        ({"id": "F1", "mode": "tombstone"}, ()),
        ({"name": "of nothing"}, ()),
        (
            {"id": "F1", "mimetype": "video/mp4", "subtype": "slack_audio", "duration_ms": 2_500},
            (RemoteFile("F1", "F1", "video/mp4", 0, "", seconds=2.5),),
        ),
        (
            {"id": "F1", "mimetype": "audio/mp4", "subtype": "slack_audio"},
            (RemoteFile("F1", "F1", "audio/mp4", 0, "", seconds=0.0),),
        ),
        ({"id": "F1", "mimetype": "audio/mpeg"}, (RemoteFile("F1", "F1", "audio/mpeg", 0, ""),)),
        ({"id": "F1", "mode": "hidden_by_limit"}, ()),
    ],
)
def test_files(file: dict[str, Any], expected: tuple[RemoteFile, ...]) -> None:
    assert attached({"files": [file]}) == expected


def test_what_is_forwarded_comes_along_as_a_quote_with_its_files() -> None:
    reading = heard(
        text="<@UBOT> look",
        attachments=[
            {"is_share": True, "text": "one\ntwo <@UBOT>", "files": [{"id": "F2"}]},
            {"text": "a link's preview", "from_url": "https://example.com"},
        ],
        files=[{"id": "F1"}],
    )
    assert reading.text == "<@UBOT> look\n\n&gt; one\n&gt; two <@UBOT>"
    assert [file.id for file in reading.files] == ["F1", "F2"]


def test_a_mention_in_what_is_forwarded_calls_nobody() -> None:
    assert not heard(text="see", attachments=[{"is_share": True, "text": "<@UBOT> hi"}]).called


def test_words_of_nothing() -> None:
    assert words({"text": None, "attachments": [{"is_msg_unfurl": True}]}) == ""


ALERT = {
    "subtype": "bot_message",
    "bot_id": "BALERTS",
    "username": "Grafana",
    "user": None,
    "text": "",
    "attachments": [{"title": "Disk full"}],
}
TRUSTED = Listening(bots=frozenset({"BALERTS", "AOTHER"}))


def spoken_of(listening: Listening, **event: Any) -> Reading | None:
    return read_event(body(**event), ME, lambda _: listening)


def test_an_alert_of_a_trusted_bot_is_read_with_its_words_and_mentions_nobody() -> None:
    reading = spoken_of(TRUSTED, **ALERT)
    assert isinstance(reading, Heard)
    assert reading.person == Person("BALERTS", "Grafana", bot=True)
    assert reading.text == "Disk full"
    assert reading.is_for_us(known=False)
    assert spoken_of(Listening(), **ALERT) is None


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        ({"bot_id": "BX", "app_id": "AOTHER"}, True),
        ({"bot_id": "BX", "bot_profile": {"app_id": "AOTHER"}}, True),
        ({"bot_id": "BX", "app_id": "AX"}, False),
        ({"bot_id": ME.bot}, False),
        ({"bot_id": "BALERTS", "user": ME.user}, False),
    ],
)
def test_which_bots_are_heard_and_never_ourselves(event: dict[str, Any], heard: bool) -> None:
    everyone = Listening(bots=TRUSTED.bots | {ME.bot, ME.user})
    assert (spoken_of(everyone, **event) is not None) is heard


@pytest.mark.parametrize(
    ("listening", "event", "in_unknown", "in_known"),
    [
        (Listening("mention"), {"thread_ts": ROOT}, False, False),
        (Listening("mention"), {"thread_ts": ROOT, "text": "<@UBOT> hi"}, True, True),
        (Listening("all"), {}, True, True),
        (Listening("all"), {"text": "<@UGRACE> hi"}, True, True),
        (Listening(flat=True), {}, False, False),
        (Listening(flat=True), {"thread_ts": ROOT}, False, True),
        (Listening("mention", bots=TRUSTED.bots), ALERT, False, False),
        (Listening("mention"), {"channel": "D1", "channel_type": "im"}, True, True),
    ],
)
def test_when_a_message_is_for_us_by_the_route(
    listening: Listening, event: dict[str, Any], in_unknown: bool, in_known: bool
) -> None:
    reading = spoken_of(listening, **event)
    assert isinstance(reading, Heard)
    assert reading.is_for_us(known=False) == in_unknown
    assert reading.is_for_us(known=True) == in_known


def test_where_what_is_asked_in_a_flat_channel_is_answered() -> None:
    top, reply = (spoken_of(Listening(flat=True), **event) for event in ({}, {"thread_ts": ROOT}))
    assert isinstance(top, Heard)
    assert isinstance(reply, Heard)
    assert top.address == Address("slack", "T1", "C1", "C1")
    assert top.address.is_flat
    assert reply.address == at(ROOT)
