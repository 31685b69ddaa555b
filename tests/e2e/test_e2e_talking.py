"""What people do in threads, and what they get: the same on both platforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import RateLimited, Uncertain
from adapters.testing.backends import faults
from tests.e2e.people import People, text_of
from tests.e2e.running import at_rest, states
from tests.e2e.town import BACKENDS, Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("bridging")

BOT = "@threadbridge"
LAST_WORDS = "or send me a file."
NOTES = ("notes.txt", "text/plain", b"buy milk\nand bread\n")


async def test_the_first_words_stand_there_while_the_agent_still_talks(
    town: Town, people: People, database: Path
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    thread = await people.say("ada", "sema4ai", f"{BOT} what now?")

    first = await eventually(lambda: people.shown(thread))
    assert first[0].growing
    assert first[0].text.startswith("You")
    assert LAST_WORDS not in first[0].text

    backend.release()
    assert await at_rest(database, 1) == ["done"]
    [reply] = people.shown(thread)
    assert reply.id == first[0].id
    assert reply.text.endswith(LAST_WORDS)
    assert not reply.growing
    assert set(reply.buttons) == {"Regenerate", "Good answer", "Bad answer"}, "and no Stop"


async def test_a_follow_up_needs_no_mention(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "fifthelement", f"{BOT} first question")
    await at_rest(database, 1)
    await people.reply("ada", thread, "second question")
    await at_rest(database, 2)
    _, second = people.shown(thread)
    assert "so this is question 2" in second.text
    assert [asked.text for asked in town.backend("fifthelement").questions] == [
        "first question",
        "second question",
    ]


async def test_messages_to_a_busy_thread_are_asked_in_their_order(
    town: Town, people: People, database: Path
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    thread = await people.say("ada", "sema4ai", f"{BOT} one")
    await eventually(backend.count)
    for text in ("two", "three", "four"):
        await people.reply("ada", thread, text)
    await eventually(lambda: states(database) == ["asking", *["received"] * 3])
    assert backend.count() == 1
    backend.release()
    assert await at_rest(database, 4) == ["done"] * 4
    assert [asked.text for asked in backend.questions] == ["one", "two", "three", "four"]
    assert len({asked.conversation for asked in backend.questions}) == 1
    assert len(people.shown(thread)) == 4


async def test_a_direct_message_needs_no_mention_and_no_names(town: Town, people: People, database: Path) -> None:
    thread = await people.direct("grace", "hello there")
    await at_rest(database, 1)
    assert "hello there" in text_of(people.shown(thread))
    assert people.named("grace") not in text_of(people.shown(thread))


async def test_a_call_in_mid_thread_brings_what_was_said_before(
    town: Town, people: People, database: Path
) -> None:
    said = [("ada", "The printer is on fire."), ("grace", "Again? Which one?"), ("ada", "The red one.")]
    thread = await people.talk_first("toqan", said)
    await people.reply("grace", thread, f"{BOT} what should we do?")
    await at_rest(database, 1)
    [asked] = town.backend("toqan").questions
    for who, line in said:
        assert f"{people.named(who)}: {line}" in asked.text
    assert asked.text.endswith(f"{people.named('grace')}: what should we do?")

    await people.reply("grace", thread, "and then?")
    await at_rest(database, 2)
    assert "printer" not in town.backend("toqan").questions[1].text


async def test_two_people_are_told_apart(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "toqan", f"{BOT} my number is 7")
    await at_rest(database, 1)
    await people.reply("grace", thread, "and mine is 8")
    await at_rest(database, 2)
    first, second = town.backend("toqan").questions
    assert first.text == "my number is 7"
    assert second.text == f"{people.named('grace')}: and mine is 8"


async def test_it_stays_out_when_people_talk_to_each_other(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "toqan", f"{BOT} first question")
    await at_rest(database, 1)
    await people.reply("ada", thread, "@grace what do you think of that?")
    await people.reply("grace", thread, "@ada not much")
    await people.reply("ada", thread, "second question")
    await at_rest(database, 2)
    assert [asked.text for asked in town.backend("toqan").questions] == [
        "first question",
        "second question",
    ]


async def test_the_talk_of_a_channel_and_other_bots_is_not_for_it(
    town: Town, people: People, database: Path
) -> None:
    await people.say("ada", "toqan", "lunch, anyone?")
    thread = await people.say("ada", "toqan", f"{BOT} a question")
    await at_rest(database, 1)
    await people.another_bot(thread, f"{BOT} build 7 failed")
    await people.reply("ada", thread, "thanks")
    await at_rest(database, 2)
    assert [asked.text for asked in town.backend("toqan").questions] == ["a question", "thanks"]


async def test_two_threads_are_two_conversations(town: Town, people: People, database: Path) -> None:
    backend = town.backend("openai")
    backend.hold = True
    here = await people.say("ada", "openai", f"{BOT} in the first thread")
    there = await people.say("grace", "openai", f"{BOT} in the second thread")
    await eventually(lambda: backend.count() == 2)
    backend.release()
    await at_rest(database, 2)
    assert "first" in text_of(people.shown(here))
    assert "second" not in text_of(people.shown(here))
    assert "second" in text_of(people.shown(there))
    assert len({asked.conversation for asked in backend.questions}) == 2


@pytest.mark.parametrize("agent", ["toqan", "sema4ai", "enthusiast", "openai", "a2a", "general"])
async def test_the_agent_answers_about_an_attachment(
    town: Town, people: People, database: Path, agent: str
) -> None:
    thread = await people.say("ada", agent, f"{BOT} what is on my list?", [NOTES])
    assert await at_rest(database, 1) == ["done"]
    assert "notes.txt" in text_of(people.shown(thread))
    assert "buy milk" in text_of(people.shown(thread))


async def test_an_attachment_in_a_follow_up_without_a_word(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} I'll send you a list")
    await at_rest(database, 1)
    await people.reply("ada", thread, "", [NOTES])
    await at_rest(database, 2)
    assert "buy milk" in people.shown(thread)[-1].text


async def test_attachments_of_earlier_messages_come_along(town: Town, people: People, database: Path) -> None:
    question = await people.say("ada", "sema4ai", "my list", [NOTES])
    if people.name == "discord":
        thread = await people.talk_first("sema4ai", [("ada", "see below")])
        await people.reply("ada", thread, "my list", [NOTES])
    else:
        thread = question
    await people.reply("grace", thread, f"{BOT} what is on it?")
    await at_rest(database, 1)
    assert "buy milk" in text_of(people.shown(thread))


@pytest.mark.parametrize("agent", ["toqan", "sema4ai", "openai", "a2a"])
async def test_a_generated_file_comes_back_into_the_thread(
    town: Town, people: People, database: Path, agent: str
) -> None:
    thread = await people.say("ada", agent, f"{BOT} write a report")
    assert await at_rest(database, 1) == ["done"]
    found = {name: content for message in people.shown(thread) for name, content in message.files.items()}
    assert list(found) == ["report.md"]
    assert found["report.md"].startswith(b"# Report\n\nSix months")
    assert found["report.md"].endswith(b"| June | 205 | 0.186 |\n")


async def test_a_file_of_a_follow_up_and_only_that(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} write a report")
    await at_rest(database, 1)
    await people.reply("ada", thread, "now as csv")
    await at_rest(database, 2)
    assert [name for message in people.shown(thread) for name in message.files] == ["report.md", "sales.csv"]


async def test_a_table_is_shown_once_and_comes_as_csv(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} a table please")
    assert await at_rest(database, 1) == ["done"]
    [message] = [message for message in people.shown(thread) if message.files]
    assert list(message.files) == ["sales.csv"]
    lines = message.files["sales.csv"].decode("utf-8-sig").split()
    assert lines[0] == "month,orders,returned"
    assert lines[-1] == "June,205,0.186"
    assert "sales" in message.text
    assert message.text.endswith(": 6 rows"), "a line beside the file, and no preview"
    assert text_of(people.shown(thread)).count("January") == 1, "the answer shows it already"


@pytest.mark.slow
async def test_a_question_asked_back_is_answered_by_writing_in_the_thread(
    town: Town, people: People, database: Path
) -> None:
    backend = town.backend("agentok")
    thread = await people.say("ada", "agentok", f"{BOT} ask me about the year")
    assert await at_rest(database, 1) == ["waiting"]
    assert people.shown(thread)[-1].text == "Which year do you mean?", "in a message of its own"
    await people.reply("ada", thread, "2024")
    assert await at_rest(database, 2) == ["done", "done"]
    assert backend.answers == ["2024"]  # type: ignore[attr-defined]
    assert backend.count() == 1
    assert "You said: “2024”." in people.shown(thread)[-1].text


async def test_an_error_is_one_sentence_and_can_be_tried_again(town: Town, people: People, database: Path) -> None:
    backend = town.backend("toqan")
    backend.faults.add("create", faults.refuse(429, Retry_After="600"))
    thread = await people.say("ada", "toqan", f"{BOT} a question")
    assert await at_rest(database, 1) == ["failed"]
    [notice] = people.shown(thread)
    assert notice.text == RateLimited.sentence
    assert list(notice.buttons) == ["Try again"]

    await people.press("ada", notice, "Try again")
    assert await at_rest(database, 2) == ["failed", "done"]
    assert backend.count() == 1
    assert people.shown(thread)[-1].text.endswith(LAST_WORDS)

    await eventually(lambda: not people.shown(thread)[0].buttons)
    await people.reply("ada", thread, "thanks")
    await at_rest(database, 3)
    assert backend.count() == 2


@pytest.mark.parametrize("word", ["Send it again", "Leave it"])
async def test_whoever_asked_decides_when_nobody_knows_whether_the_question_arrived(
    town: Town, people: People, database: Path, word: str
) -> None:
    backend = town.backend("fifthelement")
    backend.faults.add("chat", faults.drop(after=True))
    thread = await people.say("ada", "fifthelement", f"{BOT} a question")
    assert await at_rest(database, 1) == ["waiting"]
    [notice] = people.shown(thread)
    assert notice.text == Uncertain.sentence
    assert list(notice.buttons) == ["Send it again", "Leave it"]

    await people.press("ada", notice, word)
    again = word == "Send it again"
    await eventually(lambda: "waiting" not in states(database))
    assert await at_rest(database, 1 + again) == (["failed", "done"] if again else ["cancelled"])
    assert backend.count() == 1 + again

    await people.reply("ada", thread, "another question")
    assert (await at_rest(database, 2 + again))[-1] == "done"
    assert backend.count() == 2 + again


@pytest.mark.parametrize("agent", BACKENDS)
async def test_a_failed_run_shows_no_internals(town: Town, people: People, database: Path, agent: str) -> None:
    thread = await people.say("ada", agent, f"{BOT} fail")
    await at_rest(database, 1)
    shown = text_of(people.shown(thread))
    assert shown.strip()
    assert "Traceback" not in shown
    assert "127.0.0.1" not in shown


async def test_stop_ends_the_reply_and_the_next_question_is_answered(
    town: Town, people: People, database: Path
) -> None:
    backend = town.backend("a2a")
    backend.hold = True
    thread = await people.say("ada", "a2a", f"{BOT} first question")
    await eventually(lambda: people.shown(thread) and people.shown(thread)[0].growing)
    await people.stop("ada", thread)
    assert await at_rest(database, 1) == ["cancelled"]
    assert people.shown(thread)[-1].text == "Stopped."
    assert not any(message.growing for message in people.shown(thread))
    backend.release()
    await people.reply("ada", thread, "second question")
    assert await at_rest(database, 2) == ["cancelled", "done"]
    assert people.shown(thread)[-1].text.endswith(LAST_WORDS)


async def test_a_waiting_question_is_asked_in_its_new_words_or_not_at_all(
    town: Town, people: People, database: Path
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    thread = await people.say("ada", "sema4ai", f"{BOT} one")
    await eventually(backend.count)
    second = await people.reply("ada", thread, "two")
    third = await people.reply("ada", thread, "three")
    await people.reply("ada", thread, "four")
    await people.edit("ada", thread, second, "two, but better")
    await people.delete("ada", thread, third)
    await eventually(lambda: states(database) == ["asking", "received", "cancelled", "received"])
    backend.release()
    assert await at_rest(database, 4) == ["done", "done", "cancelled", "done"]
    assert [asked.text for asked in backend.questions] == ["one", "two, but better", "four"]
    assert len(people.shown(thread)) == 3


async def test_a_reply_can_neither_ping_nor_unfold_links(town: Town, people: People, database: Path) -> None:
    mischief = (
        "@everyone @here <!channel> <!here> <@U0SIM000004> <@1> <@&2> <#3> @ada <!subteam^S1> "
        "https://example.com/a [a link](https://example.com/b) <https://example.com/c|c> `@everyone`\n\n"
        "# @channel\n\n| @here | b |\n| --- | --- |\n| <!channel> | <@U0SIM000005> |\n\n```\n@everyone\n```"
    )
    backend = town.backend("sema4ai")
    backend.said = [mischief, mischief]
    thread = await people.say("ada", "sema4ai", f"{BOT} be nasty")
    await at_rest(database, 1)
    await people.reply("ada", thread, "again")
    await at_rest(database, 2)
    assert "everyone" in text_of(people.shown(thread))
    assert people.harm() == []


@pytest.mark.slow
async def test_a_long_reply_arrives_whole(town: Town, people: People, database: Path) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} a long one")
    assert await at_rest(database, 1) == ["done"]
    shown = people.shown(thread)
    assert len(shown) > 2
    assert max(message.size for message in shown) <= people.limit
    for message in shown:
        assert not message.growing
        assert message.text.count("```") % 2 == 0
    whole = text_of(shown)
    chapters = whole.count("This paragraph is number ")
    assert chapters > 30
    for n in range(1, chapters + 1):
        assert whole.count(f"This paragraph is number {n}.") == 1
        assert whole.count(f"def chapter_{n}(") == 1
        for i in range(12):
            assert whole.count(f"print(lines[{i}])  # line {i} of {n}\n") == 1, (n, i)
        assert whole.count(f"    return {n}\n") == 1
    assert whole.count("January") == chapters
    assert whole.count("two and a half") == chapters
