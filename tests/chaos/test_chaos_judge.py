"""The judge of the chaos runs catches what it is there to catch, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.chaos.judge import Changed, Finding, Kind, Observed, Press, Standing, Written, judge
from tests.chaos.words import answer, question, think, words_in

THREAD = "slack/C1/1.0"
NOTICE = Standing("I don't know whether the agent got this.")
FIRST, SECOND = Written("t0m0", THREAD), Written("t0m1", THREAD)


def whole(token: str, words: int = 10) -> Standing:
    return Standing(answer(token, words))


def cut(token: str, said: int, words: int = 10) -> Standing:
    return Standing(" ".join(answer(token, words).split()[:said]))


def found(
    standing: Sequence[Standing],
    asked: Sequence[str] = ("t0m0", "t0m1"),
    written: Sequence[Written] = (FIRST, SECOND),
    presses: Sequence[Press] = (),
    changed: Sequence[Changed] = (),
) -> list[tuple[Kind, str]]:
    observed = Observed(written, asked, {THREAD: standing}, presses, changed)
    return [(finding.kind, finding.token) for finding in judge(observed)]


def again(*unanswered: str) -> Press:
    return Press(THREAD, again=True, unanswered=frozenset(unanswered))


def test_all_is_well() -> None:
    assert found([whole("t0m0"), whole("t0m1", words=100)]) == []


def test_a_reply_in_several_messages_is_whole() -> None:
    first, second = answer("t0m0", 100).split("\n\n", 1)
    assert found([Standing(first), Standing(second), whole("t0m1")]) == []


@pytest.mark.parametrize("asked", [["t0m0"], ["t0m0", "t0m1"]], ids=["never asked", "never answered"])
def test_a_lost_message(asked: list[str]) -> None:
    assert found([whole("t0m0")], asked) == [(Kind.LOST, "t0m1")]


def test_a_thread_without_any_message_of_the_bot() -> None:
    observed = Observed([FIRST], [], {})
    assert judge(observed) == [Finding(Kind.LOST, THREAD, "t0m0", "never asked")]


def test_a_press_that_came_too_late_leaves_the_explanation() -> None:
    late = Press(THREAD, again=True, unanswered=frozenset({"t0m0"}), settled=False)
    assert found([NOTICE, whole("t0m1")], presses=[late]) == [(Kind.TOLD, "t0m0")]
    assert found([NOTICE, whole("t0m1")], presses=[again("t0m0")]) == [(Kind.LOST, "t0m0")]


def test_a_file_stands_there_once() -> None:
    one = Written("t0m0", THREAD, file=True)
    reply = answer("t0m0", 10)

    def with_files(*names: str) -> list[tuple[Kind, str]]:
        return found([Standing(reply), *(Standing("", files=[name]) for name in names)], ["t0m0"], [one])

    assert with_files("t0m0.txt") == []
    assert with_files("other.txt") == with_files() == [(Kind.FILE, "t0m0")]
    assert with_files("t0m0.txt", "t0m0.txt") == [(Kind.DOUBLED, "t0m0")]
    assert found([Standing(reply), NOTICE], ["t0m0"], [one]) == [(Kind.TOLD, "t0m0")]


def test_asked_twice() -> None:
    assert found([whole("t0m0"), whole("t0m1")], ["t0m0", "t0m1", "t0m1"]) == [(Kind.TWICE, "t0m1")]


def test_what_a_person_wished_is_asked_again() -> None:
    standing = [whole("t0m0"), cut("t0m1", 4), NOTICE, whole("t0m1")]
    asked = ["t0m0", "t0m1", "t0m1"]
    assert found(standing, asked, presses=[again("t0m1")]) == []
    assert (Kind.TWICE, "t0m1") in found(standing, [*asked, "t0m1"], presses=[again("t0m1")])
    assert (Kind.TWICE, "t0m1") in found(standing, asked, presses=[again("t0m0")])


def test_a_backend_that_does_not_count_is_judged_by_its_replies_alone() -> None:
    silent = [Written("t0m0", THREAD, counted=False)]
    assert found([whole("t0m0")], [], silent) == []
    assert found([], [], silent) == [(Kind.LOST, "t0m0")]


def test_out_of_order() -> None:
    standing = [whole("t0m0"), whole("t0m1")]
    assert found(standing, ["t0m1", "t0m0"]) == [(Kind.ORDER, "t0m0")]


def test_what_was_delivered_late_may_be_asked_late() -> None:
    late = [Written("t0m0", THREAD, late=True), SECOND]
    assert found([whole("t0m1"), whole("t0m0")], ["t0m1", "t0m0"], late) == []


def test_what_was_asked_again_may_be_asked_late() -> None:
    standing = [NOTICE, whole("t0m1"), whole("t0m0")]
    assert found(standing, ["t0m1", "t0m0"], presses=[again("t0m0")]) == []


def test_other_threads_have_an_order_of_their_own() -> None:
    other = Written("t1m0", "slack/C1/2.0")
    threads = {THREAD: [whole("t0m0"), whole("t0m1")], other.thread: [whole("t1m0")]}
    observed = Observed([FIRST, SECOND, other], ["t0m0", "t1m0", "t0m1"], threads)
    assert judge(observed) == []


@pytest.mark.parametrize(
    "second",
    [whole("t0m1"), cut("t0m1", 4), Standing("t0m1x5 t0m1x6")],
    ids=["the whole reply", "its beginning", "its middle"],
)
def test_words_that_stand_there_twice(second: Standing) -> None:
    assert found([whole("t0m0"), whole("t0m1"), second]) == [(Kind.DOUBLED, "t0m1")]


def test_a_word_twice_within_a_reply() -> None:
    stuttering = Standing(answer("t0m1", 10).replace("t0m1x4", "t0m1x4 t0m1x4"))
    assert found([whole("t0m0"), stuttering]) == [(Kind.TORN, "t0m1")]


@pytest.mark.parametrize(
    "torn",
    [cut("t0m1", 4), Standing(answer("t0m1", 10).replace("t0m1x4 ", "")), Standing("t0m1x5 t0m1x9end")],
    ids=["no end", "a gap", "no beginning"],
)
def test_a_torn_reply(torn: Standing) -> None:
    assert found([whole("t0m0"), torn]) == [(Kind.TORN, "t0m1")]


def test_words_in_another_order_are_torn() -> None:
    first, second = answer("t0m0", 80).split("\n\n", 1)
    assert (Kind.TORN, "t0m0") in found([Standing(second), Standing(first), whole("t0m1")])


def test_a_finished_reply_that_was_touched_again() -> None:
    touched = [Changed("t0m0", THREAD, "10 words, then 3")]
    assert found([whole("t0m0"), whole("t0m1")], changed=touched) == [(Kind.CHANGED, "t0m0")]


def test_a_message_that_looks_as_if_more_were_to_come() -> None:
    growing = Standing(answer("t0m1", 10), growing=True)
    assert found([whole("t0m0"), growing]) == [(Kind.GROWING, "")]


def test_words_of_another_thread() -> None:
    assert found([whole("t0m0"), whole("t0m1"), whole("t7m0")]) == [(Kind.STRAY, "t7m0")]


def test_a_failure_with_a_word_about_it_is_no_loss() -> None:
    assert found([whole("t0m0"), NOTICE]) == [(Kind.TOLD, "t0m1")]
    assert found([whole("t0m0"), cut("t0m1", 4), NOTICE]) == [(Kind.TOLD, "t0m1")]
    assert not Kind.TOLD.breaks


def test_a_word_about_it_may_stand_below_what_was_answered() -> None:
    broken = Standing(f"{cut('t0m1', 4).text}\n\n_The connection broke here._")
    assert found([whole("t0m0"), broken]) == [(Kind.TOLD, "t0m1")]


def test_a_question_that_is_echoed_explains_nothing() -> None:
    echoed = Standing(question("t0m0", 10, echoed=True))
    assert found([echoed]) == [(Kind.LOST, "t0m1")]


def test_one_word_about_it_does_not_explain_two_losses() -> None:
    assert found([NOTICE], []) == [(Kind.TOLD, "t0m0"), (Kind.LOST, "t0m1")]


def test_a_notice_that_was_answered_explains_nothing_more() -> None:
    assert found([whole("t0m0"), NOTICE], presses=[again("t0m1")]) == [(Kind.LOST, "t0m1")]


def test_what_a_person_left_is_no_loss() -> None:
    leave = Press(THREAD, again=False, unanswered=frozenset({"t0m1"}))
    assert found([whole("t0m0"), NOTICE], presses=[leave]) == [(Kind.LEFT, "t0m1")]
    assert not Kind.LEFT.breaks


def test_agents_answer_what_was_asked() -> None:
    plan = think(question("t4m2", 50))
    assert plan.text == answer("t4m2", 50)
    assert [word.index for word in words_in(plan.text)] == list(range(50))
    assert [word.last for word in words_in(plan.text)][-2:] == [False, True]
    assert words_in(question("t4m2", 50)) == []
    assert answer("t4m2", 5) in question("t4m2", 5, echoed=True)
