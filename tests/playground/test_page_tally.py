"""The counters: a turn counts when it ended, and each message of a reply once."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from bridge.playground.page.tally import SETTLED, PartSeen, Replies, ReplyWatch


class Thread:
    """One thread's parts, as a platform shows them, on a clock of its own."""

    def __init__(self) -> None:
        self.watch = ReplyWatch()
        self.parts: list[PartSeen] = []
        self.now = 0.0

    def show(self, turn: str, key: str, text: str = "") -> None:
        self.parts = [one for one in self.parts if (one.turn, one.key) != (turn, key)]
        self.parts.append(PartSeen("t", turn, key, text))

    def after(self, seconds: float, *, busy: Collection[str] = ()) -> Replies:
        self.now += seconds
        return self.watch.look(self.parts, busy, self.now)


def test_a_turn_counts_once_its_reply_has_been_quiet() -> None:
    thread = Thread()
    thread.show("a", "p0")
    assert thread.after(0).ended == 0
    assert thread.after(SETTLED / 2).ended == 0
    assert thread.after(SETTLED / 2).ended == 1


def test_one_of_eighteen_parts_is_no_reply() -> None:
    thread = Thread()
    for index in range(18):
        thread.show("a", f"p{index}")
        assert thread.after(0).ended == 0
        assert thread.after(5, busy=["t"]).ended == 0, "the newest part can still be stopped"
    thread.after(0)
    assert thread.after(SETTLED).ended == 1


def test_a_part_that_changes_is_not_quiet() -> None:
    thread = Thread()
    for text in ("one", "one two", "one two three"):
        thread.show("a", "p0", text)
        assert thread.after(SETTLED - 0.1).ended == 0
    assert thread.after(SETTLED).ended == 1


def test_where_a_later_turn_has_begun_the_earlier_one_ended() -> None:
    thread = Thread()
    thread.show("a", "p0")
    thread.after(0)
    thread.show("b", "p0")
    assert thread.after(0, busy=["t"]).ended == 1
    assert thread.after(SETTLED).ended == 2


def test_a_part_that_stands_there_twice_is_told() -> None:
    thread = Thread()
    thread.show("a", "p0")
    thread.parts.append(thread.parts[0])
    thread.show("b", "p0")
    assert thread.after(0).twice == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.floats(0, 3)), max_size=30))
def test_more_turns_than_there_are_never_ended(events: list[tuple[str, int, float]]) -> None:
    thread = Thread()
    for turn, part, pause in events:
        thread.show(turn, f"p{part}", str(pause))
        seen = thread.after(pause)
        assert seen.ended <= len({one.turn for one in thread.parts})
        assert seen.twice == 0
