"""What adapters must do that can do more than answer: each class is mixed in by those that can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest

import adapters.http.polling
import adapters.http.service
from adapters.base import (
    Agent,
    AgentError,
    Attachment,
    AuthenticationFailed,
    Cancels,
    Checkpoint,
    Deletes,
    Done,
    Event,
    File,
    Files,
    History,
    InputRequest,
    Lists,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.testing.contract import Contract
from adapters.testing.persons import ANN, BOB, in_turn, seen
from adapters.testing.turns import PATIENCE, attachment, close, closing, fetch, hear
from adapters.testing.world import Trouble, World
from adapters.text import safe_name

OUTLAST = 1_000  # faults in a row, more than any adapter repeats a request
MAX_REQUESTS = 60  # of one turn in a simulated world
OUTAGE = 12  # faults in a row, more than the tries of two looks at a backend
CUTS = 20  # streams in a row that break off


class PolledContract(Contract):
    """For adapters that ask for the answer, or look it up in the history."""

    @pytest.mark.parametrize("trouble", ["limited", "limited briefly", "down", "dropped before", "dropped after"])
    async def test_a_hitch_while_it_waits_goes_unnoticed(self, world: World, trouble: Trouble) -> None:
        world.fail("answer", trouble)
        assert self.question in (await self.turn(world.agent(), self.question)).text
        assert world.asked() == 1

    @pytest.mark.parametrize("trouble", ["limited", "down", "dropped before"])
    async def test_an_outage_while_it_waits_is_ridden_out(self, world: World, trouble: Trouble) -> None:
        world.hold()
        turn = asyncio.ensure_future(self.turn(world.agent(), self.question))
        await self.begun(world)
        world.fail("answer", trouble, OUTAGE)
        world.release()
        assert self.question in (await turn).text
        assert world.asked() == 1

    @pytest.mark.parametrize(
        ("trouble", "errors"),
        [
            ("unauthorized", AuthenticationFailed),
            ("limited for long", RateLimited),
            ("down", (Unavailable, TimedOut)),
            ("garbage", ProtocolError),
            ("endless", ProtocolError),
            ("redirected", ProtocolError),
        ],
    )
    async def test_each_lasting_failure_of_the_answer_has_its_error_and_can_be_resumed(
        self,
        world: World,
        trouble: Trouble,
        errors: type[AgentError] | tuple[type[AgentError], ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(adapters.http.polling, "OUTAGE", 0.1)
        world.fail("answer", trouble, OUTLAST)
        agent = world.agent()
        message = self.message(agent, self.question)
        seen: list[Checkpoint] = []
        with pytest.raises(AgentError) as caught:
            await self.take_in(agent.ask(None, message), seen)
        self.fit(world, caught.value)
        assert isinstance(caught.value, errors), repr(caught.value)
        world.mend()
        heard = await self.resumed(world, self.again(message), None, seen[-1])
        assert heard
        assert self.question in heard.text
        assert world.asked() == 1


class StreamContract(Contract):
    """For adapters whose answers are streamed, at least in later turns."""

    async def test_the_first_words_come_while_it_still_talks(self, world: World) -> None:
        first = await self.turn(world.agent(), self.question)
        world.hold()
        agent = world.agent()
        events = agent.ask(first.conversation, self.message(agent, self.second_question, first))
        try:
            async with asyncio.timeout(PATIENCE):
                while not isinstance(await anext(events), Text):
                    pass
        finally:
            await close(events)
            world.release()
        assert world.asked() == 2

    @pytest.mark.parametrize("trouble", ["crlf", "commented", "dribbled"])
    async def test_odd_streams_are_read_all_the_same(self, world: World, trouble: Trouble) -> None:
        first = await self.turn(world.agent(), self.question)
        expected = await self.turn(world.agent(), self.second_question, first)
        other = await self.turn(world.agent(), self.question)
        world.fail("stream", trouble)
        odd = await self.turn(world.agent(), self.second_question, other)
        assert odd.text == expected.text
        assert "".join(e.delta for e in odd.events if isinstance(e, Text)).strip()

    @pytest.mark.parametrize("trouble", ["cut", "huge event"])
    async def test_a_broken_stream_ends_whole_or_in_an_error(self, world: World, trouble: Trouble) -> None:
        first = await self.turn(world.agent(), self.question)
        world.fail("stream", trouble, CUTS)
        agent = world.agent()
        try:
            heard = await hear(agent.ask(first.conversation, self.message(agent, self.second_question, first)))
        except (Uncertain, Unavailable, ProtocolError, TimedOut) as error:
            self.fit(world, error)
        else:
            assert self.second_question in heard.text
            assert heard.text.endswith((".", "`", "?"))
        assert world.asked() == 2


class UploadContract(Contract):
    """For adapters that pass a person's files on. The simulated agent names each file and says its first line."""

    async def test_files_arrive_with_the_question(self, world: World, tmp_path: Path) -> None:
        attachments = (
            attachment(tmp_path, "notes.txt", b"first of notes\nsecond"),
            attachment(tmp_path, "figures.txt", b"first of figures\nsecond"),
        )
        heard = await self.turn(world.agent(), self.question, attachments=attachments)
        for words in ("notes.txt", "first of notes", "figures.txt", "first of figures"):
            assert words in heard.text
        assert world.asked() == 1

    async def test_files_arrive_in_a_later_turn(self, world: World, tmp_path: Path) -> None:
        first = await self.turn(world.agent(), self.question)
        heard = await self.turn(world.agent(), self.second_question, first, (attachment(tmp_path),))
        assert "notes.txt" in heard.text
        assert world.asked() == 2

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd.txt", "a\r\nX-Evil: 1\r\n\r\n.txt", 'q"uo;te.txt', "ünï 🧵.txt"]
    )
    async def test_names_are_sent_harmless(self, world: World, tmp_path: Path, name: str) -> None:
        path = tmp_path / "local.txt"
        path.write_bytes(b"only line")
        sent = Attachment(name, "text/plain", path, path.stat().st_size)
        heard = await self.turn(world.agent(), self.question, attachments=(sent,))
        assert safe_name(name) in heard.text
        assert "only line" in heard.text

    async def test_a_file_that_is_gone_is_said_so_and_nothing_asked(self, world: World, tmp_path: Path) -> None:
        agent = world.agent()
        gone = Attachment("gone.txt", "text/plain", tmp_path / "gone.txt", 3)
        message = self.message(agent, self.question, attachments=(gone,))
        assert isinstance(await self.error_of(world, agent.ask(None, message)), Rejected)
        assert world.asked() == 0

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [("rejected", Rejected), ("down", Unavailable), ("unauthorized", AuthenticationFailed)],
    )
    async def test_an_upload_that_fails_leaves_nothing_asked(
        self, world: World, tmp_path: Path, trouble: Trouble, error: type[AgentError]
    ) -> None:
        world.fail("upload", trouble, OUTLAST)
        agent = world.agent()
        message = self.message(agent, self.question, attachments=(attachment(tmp_path),))
        assert isinstance(await self.error_of(world, agent.ask(None, message)), error)
        assert world.asked() == 0

    async def test_with_files_too_it_is_asked_once_whatever_request_it_dies_in(
        self, world: World, tmp_path: Path
    ) -> None:
        sent = (attachment(tmp_path, "one.txt"), attachment(tmp_path, "two.txt"))
        for nth in count(1):
            assert nth <= MAX_REQUESTS
            agent = world.agent()
            message = self.message(agent, self.question, attachments=sent)
            before = world.asked()
            world.stall(nth)
            checkpoint, finished = await self.crash(agent.ask(None, message), world.stalled())
            world.mend()
            if finished:
                break
            heard = await self.resumed(world, message, None, checkpoint)
            assert world.asked() - before == 1 or (heard is None and world.asked() == before)
            if heard:
                assert "one.txt" in heard.text
                assert "two.txt" in heard.text


class FilesContract(Contract):
    """For agents that make files."""

    async def test_a_file_that_it_makes_can_be_fetched(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.file_question)
        assert isinstance(agent, Files)
        assert heard.conversation
        assert heard.files
        for file in heard.files:
            assert safe_name(file.name) == file.name
            content = await fetch(agent, heard.conversation, file.ref)
            assert content
            assert file.size in {None, len(content)}
            assert file.ref in {listed.ref for listed in await agent.files(heard.conversation)}

    async def test_a_file_is_not_shown_again_in_the_next_turn(self, world: World) -> None:
        first = await self.turn(world.agent(), self.file_question)
        second = await self.turn(world.agent(), self.second_question, first)
        assert first.files
        assert not second.files

    async def test_files_come_after_a_crash_too(self, world: World) -> None:
        agent = world.agent()
        reference = await self.turn(agent, self.file_question)
        message = self.message(agent, self.file_question)
        last = None
        async with asyncio.timeout(PATIENCE), closing(agent.ask(None, message)) as events:
            async for event in events:
                last = event if isinstance(event, Checkpoint) else last
                if isinstance(event, File):
                    break
        heard = await self.resumed(world, message, None, last)
        assert (heard is not None) == self.recovers
        if heard:
            assert [file.name for file in heard.files] == [file.name for file in reference.files]

    async def test_old_files_are_not_shown_as_new_after_a_crash(self, world: World) -> None:
        first = await self.turn(world.agent(), self.file_question)
        agent = world.agent()
        message = self.message(agent, self.second_question, first)
        second = await hear(agent.ask(first.conversation, message))
        for checkpoint in second.checkpoints:
            heard = await self.resumed(world, self.again(message), first.conversation, checkpoint)
            assert heard is None or not heard.files

    async def test_a_file_that_does_not_exist_is_not_found(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.question)
        assert heard.conversation
        with pytest.raises(NotFound) as caught:
            await fetch(agent, heard.conversation, "no-such-file.txt")
        self.fit(world, caught.value)

    @pytest.mark.parametrize("trouble", ["unauthorized", "down", "limited for long", "redirected"])
    async def test_a_download_that_fails_is_an_error_and_the_key_stays_here(
        self, world: World, trouble: Trouble
    ) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.file_question)
        assert heard.conversation
        world.fail("download", trouble, OUTLAST)
        try:
            await fetch(agent, heard.conversation, heard.files[0].ref)
        except AgentError as error:
            self.fit(world, error)
        else:
            assert trouble == "redirected", "a redirect may be followed, without the key"


class HistoryContract(Contract):
    """For backends that can be asked what was said."""

    async def test_the_history_tells_who_said_what_in_order(self, world: World) -> None:
        agent = world.agent()
        first = await self.turn(agent, self.question)
        second = await self.turn(agent, self.second_question, first)
        assert isinstance(agent, History)
        assert first.conversation
        rows = await agent.history(first.conversation)
        assert [row.text for row in rows if row.role == "person"] == [self.question, self.second_question]
        assert [row.text for row in rows if row.role == "agent"] == [first.text, second.text]
        assert [row.role for row in rows] == ["person", "agent", "person", "agent"]


class ListsContract(Contract):
    """For backends that list their conversations."""

    async def test_every_conversation_is_listed(self, world: World) -> None:
        agent = world.agent()
        assert isinstance(agent, Lists)
        made = [(await self.turn(agent, self.question)).conversation for _ in range(3)]
        assert set(made) <= set(await agent.conversations())


class DeletesContract(Contract):
    """For backends that delete a conversation."""

    async def test_a_deleted_conversation_is_gone(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.question)
        assert isinstance(agent, Deletes)
        assert heard.conversation
        await agent.delete(heard.conversation)
        if isinstance(agent, Lists):
            assert heard.conversation not in await agent.conversations()
        message = self.message(agent, self.second_question)
        assert isinstance(await self.error_of(world, agent.ask(heard.conversation, message)), NotFound)
        assert world.asked() == 1


class CancelsContract(Contract):
    """For backends whose runs can be stopped."""

    async def test_a_cancelled_turn_ends(self, world: World) -> None:
        world.hold()
        agent = world.agent()
        last: Checkpoint | None = None
        cancelled = False
        try:
            async with asyncio.timeout(PATIENCE), closing(self._asked(agent)) as events:
                pending = asyncio.ensure_future(anext(events, None))
                while True:
                    done, _ = await asyncio.wait({pending}, timeout=0.2)
                    if not done and not cancelled and world.asked():
                        assert isinstance(agent, Cancels)
                        assert last
                        assert last.conversation
                        await world.agent().cancel(last.conversation, last)  # type: ignore[attr-defined]
                        cancelled = True
                    if done:
                        event = pending.result()
                        if event is None:
                            break
                        last = event if isinstance(event, Checkpoint) else last
                        pending = asyncio.ensure_future(anext(events, None))
        except AgentError as error:
            self.fit(world, error)
        assert cancelled
        assert world.asked() == 1

    def _asked(self, agent: Agent) -> AsyncIterator[Event]:
        return agent.ask(None, self.message(agent, self.question))


class InputRequestContract(Contract):
    """For agents that ask back."""

    asking_question: ClassVar[str] = "Ask me before you go on."
    answer: ClassVar[str] = "The year 2024."

    async def test_it_asks_back_and_goes_on_with_the_answer(self, world: World) -> None:
        agent = world.agent()
        heard = await hear(agent.ask(None, self.message(agent, self.asking_question)))
        assert isinstance(heard.events[-1], InputRequest)
        assert heard.events[-1].text
        answered = await hear(
            world.agent().ask(heard.conversation, self.message(agent, self.answer), resume=heard.checkpoints[-1])
        )
        assert isinstance(answered.events[-1], Done)
        assert answered.text

    async def test_who_answers_is_told_too(self, world: World) -> None:
        agent = world.agent()
        heard = await hear(agent.ask(None, replace(self.message(agent, self.asking_question), person=ANN)))
        answer = replace(self.message(agent, self.answer), person=BOB)
        await hear(agent.ask(heard.conversation, answer, resume=heard.checkpoints[-1]))
        assert in_turn(world) == [seen(ANN), seen(BOB)]

    async def test_the_question_comes_again_after_a_crash(self, world: World) -> None:
        """Whoever died after the last checkpoint and before the question must not answer it with itself."""
        agent = world.agent()
        message = self.message(agent, self.asking_question)
        heard = await hear(agent.ask(None, message))
        assert len(heard.checkpoints) > 1
        for checkpoint in heard.checkpoints[-2:]:
            again = await self.resumed(world, message, None, checkpoint)
            assert again
            assert again.events[-1] == heard.events[-1]
            assert again.text == heard.text
            assert world.asked() == 1
        waiting = again.checkpoints[-1] if again else None
        answered = await hear(
            world.agent().ask(heard.conversation, self.message(agent, self.answer), resume=waiting)
        )
        assert isinstance(answered.events[-1], Done)

    @pytest.mark.parametrize("tried_again", [False, True], ids=["crashed", "tried again"])
    async def test_the_answer_is_given_once_from_whatever_checkpoint(
        self, world: World, tried_again: bool
    ) -> None:
        expected, total, spent = "", 1, 0
        nth = -1
        while nth < total:
            asked = await self.turn(world.agent(), self.asking_question)
            message = self.message(world.agent(), self.answer)
            before = world.asked()
            events = world.agent().ask(asked.conversation, message, resume=asked.checkpoints[-1])
            if nth < 0:
                reference = await hear(events)
                expected, total, spent = reference.text, len(reference.checkpoints), world.asked() - before
            else:
                checkpoint = await self.nth_checkpoint(events, nth)
                message = self.again(message) if tried_again else message
                heard = await self.resumed(world, message, asked.conversation, checkpoint)
                assert heard is None or heard.text == expected
                assert world.asked() - before <= spent, f"after checkpoint {nth + 1} of {total}"
            nth += 1


class TablesContract(Contract):
    """For agents that make data frames."""

    async def test_a_table_comes_with_its_rows(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.table_question)
        assert heard.tables
        for table in heard.tables:
            assert table.name
            assert table.columns
            assert table.rows
            assert all(len(row) == len(table.columns) for row in table.rows)

    async def test_a_table_is_not_shown_again_in_the_next_turn(self, world: World) -> None:
        first = await self.turn(world.agent(), self.table_question)
        second = await self.turn(world.agent(), self.second_question, first)
        assert not second.tables
