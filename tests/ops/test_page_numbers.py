"""What the operator's page computes without I/O: the last hour and its drawing, searches, sessions, pauses."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from bridge.lifecycle import Outcome, Retry, TurnState
from bridge.ops.page import words
from bridge.ops.page.drawing import HEIGHT, drawn, rounded_up
from bridge.ops.page.hour import last_hour, percentile
from bridge.ops.page.search import Wanted, wanted
from bridge.ops.page.session import FREE_TRIES, LASTS, LONGEST_PAUSE, WATCHED, Sessions, Tries
from bridge.store.tables import SECOND
from bridge.store.watching import Ended, WatchedTurn

NOW = 1_700_000_000 * SECOND
MINUTE = 60 * SECOND


def ended(
    minutes_ago: float, state: str = "done", outcome: str = "answered", took: float = 4, first: float = 1
) -> Ended:
    at = NOW - round(minutes_ago * MINUTE)
    begun = at - round(took * SECOND)
    return Ended(at, state, outcome, begun - SECOND, begun, round(first * SECOND), "support")


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([], 0.5, None),
        ([3.0], 0.95, 3.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        (list(range(1, 101)), 0.95, 95),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, found: float | None) -> None:
    assert percentile(values, share) == found


def test_the_hour_counts_what_was_asked_and_measures_what_was_answered() -> None:
    hour = last_hour(
        [
            ended(0.5), ended(0.5, "failed", "timed_out", took=900), ended(3, "cancelled", "stopped"),
            ended(7, "waiting", "input_request", took=8), ended(30, "done", "joined"), ended(59.9), ended(61),
            ended(-1),
        ],
        NOW,
    )  # fmt: skip
    assert (hour.whole.answered, hour.whole.failed, hour.whole.stopped) == (4, 1, 1)
    assert (hour.minutes[-1].answered, hour.minutes[-1].failed) == (2, 1), "a clock that is ahead counts as now"
    assert hour.minutes[0].answered == 1
    assert (hour.whole.total.p50, hour.whole.total.p95) == (4.0, 8.0)
    assert hour.whole.first_words.p95 == 1.0
    assert hour.spans[-2].answered == 1
    assert hour.agents["support"].failed == 1


def test_the_picture_stays_within_its_box() -> None:
    picture = drawn(last_hour([ended(one / 10, took=one) for one in range(590)], NOW))
    pieces = [piece for bar in picture.bars for piece in bar.pieces]
    assert all(0 <= piece.y <= piece.y + piece.height <= HEIGHT + 0.01 for piece in pieces)
    assert picture.total.top >= 589
    empty = drawn(last_hour([], NOW))
    assert [curve.path for curve in empty.total.curves] == ["", ""]
    assert [rounded_up(one, least=1) for one in (0, 1, 1.1, 3, 7, 11, 480)] == [1, 1, 2, 5, 10, 20, 500]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("C0123", Wanted(channel="C0123", thread="C0123", either=True)),
        (" slack:C0123 ", Wanted(channel="C0123", thread="C0123", either=True)),
        ("slack:T0456:C0123", Wanted(channel="C0123", thread="C0123", either=True)),
        ("T0456:C0123:1700000000.000100", Wanted(channel="C0123", thread="1700000000.000100")),
        ("slack:C0123:1700000000.000100", Wanted(channel="C0123", thread="1700000000.000100")),
        ("1700000000.000100", Wanted(channel="1700000000.000100", thread="1700000000.000100", either=True)),
        ("0123456789abcdef", Wanted(turn="0123456789abcdef")),
        ("1234567890123456", Wanted(channel="1234567890123456", thread="1234567890123456", either=True)),
        ("https://x.slack.com/archives/C0123/p1700000000000100", Wanted(channel="C0123", thread="1700000000.000100")),
        (
            "https://x.slack.com/archives/C0123/p1700000009000100?thread_ts=1700000000.000100&cid=C0123",
            Wanted(channel="C0123", thread="1700000000.000100"),
        ),
        ("https://discord.com/channels/12/34/56", Wanted(channel="34", thread="34", either=True)),
        ("' OR 1=1 --", None),
        ("a:b:c", None),
        ("", None),
        ("x" * 10_000, None),
    ],
)  # fmt: skip
def test_what_a_search_asks_for(query: str, found: Wanted | None) -> None:
    assert wanted(query) == found


def turn(state: str, outcome: str | None = None, superseded_by: str | None = None) -> WatchedTurn:
    return WatchedTurn(
        "t", 1, "U1", "Ann", state, False, outcome, superseded_by, None, NOW, None, None, None,
        "slack", "T1", "C1", "1.0", "support", None, None,
    )  # fmt: skip


def test_who_cannot_be_sent_again_says_why() -> None:
    for state in TurnState:
        for outcome in (None, *Outcome):
            one = turn(state, outcome)
            can = state in (TurnState.FAILED, TurnState.WAITING) and words.retry_of(one) is not Retry.NONE
            assert (words.why_not(one) is None) == can, (state, outcome)
    assert "already" in (words.why_not(turn("failed", "timed_out", "t2")) or "")
    assert words.why_not(turn("of a newer version", "of a newer version"))
    assert {outcome.value for outcome in Outcome} == set(words.OUTCOMES)
    assert {state.value for state in TurnState} == set(words.STATES)


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_signed_and_ends() -> None:
    clock = Clock()
    sessions = Sessions(SecretStr("a" * 20), clock)
    cookie = sessions.begin()
    session = sessions.read(cookie)
    assert session is not None
    assert Sessions(SecretStr("a" * 20), clock).read(cookie) == session, "another replica, or a restart"
    assert Sessions(SecretStr("b" * 20), clock).read(cookie) is None, "a new token ends all"
    ends, name, mac = cookie.split(".")
    forged = [
        "", "x", f"{int(ends) + 60}.{name}.{mac}", f"{ends}.{'0' * 32}.{mac}", f"{ends}.{name}.{'0' * 64}",
        f"{ends}.{name}.{sessions.proof(session)}", f"{ends}.{name}", "9" * 5_000,
    ]  # fmt: skip
    assert [sessions.read(one) for one in forged] == [None] * len(forged)
    assert sessions.is_proof(session, sessions.proof(session))
    assert not sessions.is_proof(session, mac)
    other = sessions.read(sessions.begin())
    assert other is not None
    assert not sessions.is_proof(other, sessions.proof(session)), "a form of another session"
    sessions.end(other)
    assert sessions.read(cookie) == session
    clock.now += LASTS
    assert sessions.read(cookie) is None


def test_an_ended_session_is_over_though_its_cookie_is_kept() -> None:
    sessions = Sessions(SecretStr("a" * 20))
    cookie = sessions.begin()
    session = sessions.read(cookie)
    assert session is not None
    sessions.end(session)
    assert sessions.read(cookie) is None


def test_who_guesses_waits_longer_and_longer_and_others_do_not() -> None:
    clock = Clock()
    tries = Tries(clock)
    for _ in range(FREE_TRIES):
        assert tries.pause("there") == 0
        tries.wrong("there")
    pauses = []
    for _ in range(8):
        pauses.append(tries.pause("there"))
        clock.now += pauses[-1]
        assert tries.pause("there") == 0
        tries.wrong("there")
    assert pauses == [2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert tries.pause("elsewhere") == 0
    tries.right("there")
    assert tries.pause("there") == 0
    for number in range(10 * WATCHED):
        tries.wrong(str(number))
    assert len(tries._wrong) <= WATCHED
