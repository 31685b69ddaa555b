"""Brings the thread to what a reply should show, as fast as the platform's budget allows.

Text that comes in meanwhile is simply part of the next step. The first words go out at once, those in between no more
often than the surface's interval, the last ones at once again. Where a platform has no sign with a Stop button, the
newest message carries it until the turn is over, and a small message with it stands in while there are no words yet.
The agent's steps ride in the same messages, as cards or as a line below the words, and are paced like them; cards need
no words to stand there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from bridge.render.pace import Pacer
from bridge.render.split import Part
from bridge.render.style import Style
from bridge.render.whole import LEAVES_THE_LOOP
from bridge.turns.hold import Hold
from bridge.turns.parts import Parts, Shown
from bridge.turns.retry import retry
from bridge.turns.steps import Steps
from bridge.turns.surface import (
    NO_PROGRESS,
    Button,
    PartFull,
    PartKey,
    PartKind,
    Progress,
    Sending,
    StoppedByPerson,
    Surface,
    Throttled,
    Unreachable,
)
from bridge.turns.text import ReplyText

RECORD_EVERY = 3.0  # seconds between two records of how much a growing part shows
HELD_BACK = 5.0  # seconds without the first message being taken, after which the question shows that it waits
WORKING_AFTER = 5.0  # seconds without words, after which a message stands in where it must carry the Stop button
WORKING = "…"
MAX_LABEL = 200  # characters of the agent's words in that message

T = TypeVar("T")
log = structlog.get_logger()


class Pump:
    """One reply's calls to its surface. `run` is a task; the rest is called beside it."""

    def __init__(
        self,
        surface: Surface,
        hold: Hold,
        text: ReplyText,
        parts: Parts,
        steps: Steps,
        *,
        turn: str,
        asked: str,
        after: str,
    ) -> None:
        self._surface = surface
        self._hold = hold
        self._text = text
        self._parts = parts
        self._steps = steps
        self._turn = turn
        self._asked = asked
        self._after = after
        self._pacer = Pacer(surface.style.interval)
        self._settled = 0  # parts that are finished, from the first on
        self._recorded_at = 0.0
        self._wake = asyncio.Event()
        self._finishing = asyncio.Event()
        self._label = WORKING
        self._under: Sequence[Button] = ()
        self._bare: set[int] = set()  # parts that were finished here without buttons
        self._stands_in = False  # a message without words carries the Stop button
        self._halted = False  # a person stopped the reply on the platform
        self._marking: asyncio.Task[bool] | None = None
        self.curtailed = False  # a person wants no more
        self.waits_for_more = False  # something is about to be posted above the text
        self.first_words_at: float | None = None
        self.on_stop: Callable[[], None] = _nothing

    def wake(self) -> None:
        """There is more to show."""
        self._wake.set()

    def finish(self, under: Sequence[Button] = ()) -> None:
        """The text is complete. `under`: what its last part keeps as buttons."""
        self._under = under
        self._finishing.set()
        self._wake.set()

    def begin_anew(self) -> None:
        """The text begins again: what is finished stays as it is where it reads the same."""
        self._settled = 0

    def curtail(self) -> None:
        """A person wants no more: what stands in the thread is finished, and nothing is added."""
        self.curtailed = True
        self._wake.set()

    def halt(self) -> None:
        """Nothing more is shown of the text."""
        self._halted = True
        self._wake.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        stand_in = loop.call_later(WORKING_AFTER, self._want_stand_in) if self._style.working_part else None
        try:
            while not self._halted:
                await self._wake.wait()
                self._wake.clear()
                finishing = self._finishing.is_set()
                await self._sync()
                if finishing:
                    await self._put_under()
                    await self._take_away_surplus()
                    return
        finally:
            if stand_in is not None:
                stand_in.cancel()

    def label(self, words: str) -> None:
        """What the message that stands in says."""
        self._label = self._style.dialect.literal(words[:MAX_LABEL]) or WORKING
        if self._stands_in:
            self._wake.set()

    # --- the text -------------------------------------------------------------------------------------------

    async def _sync(self) -> None:
        """Bring part after part to what it should show, up to the open one."""
        if self._text.pending > LEAVES_THE_LOOP:
            await asyncio.to_thread(self._text.parts)
        while not self._halted:
            parts = self._all()
            index = self._settled
            if index >= len(parts):
                if self._stands_in and not parts and not self._finishing.is_set() and not self.waits_for_more:
                    await self._stand_in()
                return
            try:
                await self._bring(index)
            except PartFull as full:
                log.info("part takes no more", part=index, reason=str(full))
                parts = self._text.parts()
                if index >= len(parts):
                    return  # it has no words at which it could end
                if not parts[index].closed:
                    self._text.cut()
                continue
            except StoppedByPerson:
                log.info("reply stopped on the platform")
                self._halted = True
                self.on_stop()
                return
            except _Outdated:
                continue
            parts = self._all()
            if index != self._settled or index >= len(parts):
                continue  # the text began again meanwhile
            part = parts[index]
            if part.closed and self._parts.is_finished(self._key(index), part.text):
                self._steps.close(index)
                self._settled += 1
            elif not part.closed or self._waits_with_stop(index):
                return

    async def _bring(self, index: int) -> None:
        key = self._key(index)
        shown = self._parts.get(key)
        part = self._part(index)
        if shown is None:
            await self._open(key, index)
        elif part.closed:
            if self._parts.is_finished(key, part.text):
                if (
                    part.text and shown.ends != part.end
                ):  # it reads the same, and what comes before it became longer or shorter
                    self._hold.note(self._turn, self._parts.finished(key, part.text, len(part.text), part.end))
                return
            if shown.text == part.text:
                if self._waits_with_stop(index):
                    if self._has_news(index, part, shown):
                        await self._pause()
                        await self._edit(key, index, shown)
                    return
                if self._carries_stop(index):
                    await self._open_next(index)
            await self._edit(key, index, shown)
        elif shown.digest is None and self._has_news(index, part, shown):
            if self.first_words_at is not None or not part.text:
                await self._pause()
            await self._edit(key, index, shown)

    def _has_news(self, index: int, part: Part, shown: Shown) -> bool:
        """Whether a part that grows has more to show, and takes nothing back by it."""
        if len(part.text) > shown.length and shown.text != self._wanted(part):
            return True
        if not len(self._steps) or len(part.text) < shown.length:
            return False
        if shown.text is None and not self._steps.restored:
            return False  # what an earlier attempt showed, before there were steps, may be more than is recorded
        return shown.progress != self._progress(index)

    async def _open_next(self, index: int) -> None:
        """The next part takes the Stop button over, before this one gives it away."""
        following = self._key(index + 1)
        if self._parts.get(following) is None:
            await self._open(following, index + 1)

    def _carries_stop(self, index: int) -> bool:
        """A closed part that is the newest while others are to follow, or may."""
        following = index + 1 < len(self._all())
        return self._style.working_part and (following or not self._finishing.is_set())

    def _waits_with_stop(self, index: int) -> bool:
        """A closed part after which nothing has come yet."""
        return self._carries_stop(index) and index + 1 >= len(self._all())

    async def _open(self, key: PartKey, index: int) -> None:
        if index and not self._finishing.is_set():
            await self._pause()
        sent: list[_Sent] = []

        async def post() -> str:
            part = self._part(index)
            text, stop = self._wanted(part), self._carries_stop(index)
            last = part.closed and not stop
            buttons = self._last_buttons(index) if last else self._stop_button()
            progress = self._progress(index, last=last)
            message_id = await self._surface.post(key, text, last=last, buttons=buttons, progress=progress)
            sent.append(_Sent(part, text, progress, last, bare=last and not buttons))
            return message_id

        message_id = await self.once(key, post, self._sending(index))
        if not sent:
            self._words_came()
            self._hold.note(self._turn, self._parts.found(key, message_id))
            return
        self._parts.posted(key, message_id, sent[-1].text, len(sent[-1].part.text), sent[-1].progress)
        self._now_shows(key, sent[-1], first=True)

    async def _edit(self, key: PartKey, index: int, shown: Shown) -> None:
        if len(self._steps) and not shown.length and self._part(index).text:
            # Whoever takes this up knows that words may stand below the cards, and takes none of them back.
            await self._hold.record(self._turn, self._parts.promised(key))

        async def edit() -> _Sent:
            part = self._part(index)
            text = self._wanted(part)
            last = part.closed and not self._waits_with_stop(index)
            buttons = self._last_buttons(index) if last else self._stop_button()
            progress = self._progress(index, last=last)
            await self._surface.edit(
                key, shown.id, text, shown=shown.text, last=last, buttons=buttons, progress=progress
            )
            return _Sent(part, text, progress, last, bare=last and not buttons)

        self._now_shows(key, await self._send(edit, self._sending(index)))

    def _now_shows(self, key: PartKey, sent: _Sent, *, first: bool = False) -> None:
        part = sent.part
        self._words_came(part.text)
        if part.closed and sent.last:
            ends = part.end if part.text else None
            if sent.bare:
                self._bare.add(key.index)
            self._hold.note(self._turn, self._parts.finished(key, sent.text, len(part.text), ends))
            return
        record = self._parts.shows(key, sent.text, len(part.text), sent.progress)
        at = asyncio.get_running_loop().time()
        if first or at - self._recorded_at >= RECORD_EVERY:
            self._recorded_at = at
            self._hold.note(self._turn, record)

    async def _stand_in(self) -> None:
        """A message that carries the Stop button until the first words take its place. It says what step is taken, or
        else what the agent said of its work."""
        key, progress = self._key(0), self._progress(0)
        label = "" if progress else self._label
        shown = self._parts.get(key)
        if shown is None and not self._parts.to_be_found(key):
            message_id = await self.once(key, lambda: self._post_stand_in(key, label, progress), Sending.FIRST)
            self._hold.note(self._turn, self._parts.posted(key, message_id, label, 0, progress))
        elif shown is not None and shown.length == 0 and shown.text is not None:
            if (shown.text, shown.progress) == (label, progress):
                return
            await self._pause()
            if self._all():
                return
            progress = self._progress(0)
            label = "" if progress else self._label
            try:
                await self._send(lambda: self._edit_stand_in(key, shown, label, progress), Sending.GROWTH)
            except PartFull as full:  # the words come as its last edit, or in it
                log.info("stand-in takes no more", reason=str(full))
            self._parts.shows(key, label, 0, progress)

    async def _post_stand_in(self, key: PartKey, label: str, progress: Progress) -> str:
        return await self._surface.post(key, label, last=False, buttons=self._stop_button(), progress=progress)

    async def _edit_stand_in(self, key: PartKey, shown: Shown, label: str, progress: Progress) -> None:
        buttons = self._stop_button()
        await self._surface.edit(
            key, shown.id, label, shown=shown.text, last=False, buttons=buttons, progress=progress
        )

    def _want_stand_in(self) -> None:
        self._stands_in = True
        self._wake.set()

    async def close(self) -> None:
        """What still grows ends as it is: nobody knows how it would go on. A message without words goes, unless it has
        cards."""
        await self._look_for_one_more(self._parts.text_count)
        for key in self._parts.growing():
            shown = self._parts.get(key)
            if shown is None:
                continue
            progress = self._progress(key.index, last=True)
            if shown.length == 0 and progress:
                await self._leave_cards(key, shown, progress)
            elif shown.length == 0:
                await self._take_away(key, shown.id)
            else:
                await self._send(partial(self._surface.close, key, shown.id, progress=progress), Sending.LAST)

    async def _leave_cards(self, key: PartKey, shown: Shown, progress: Progress) -> None:
        edit = partial(self._surface.edit, key, shown.id, "", shown=shown.text, last=True, progress=progress)
        await self._send(edit, Sending.LAST)
        self._hold.note(self._turn, self._parts.finished(key, "", 0, None))

    async def _take_away_surplus(self) -> None:
        await self._look_for_one_more(len(self._all()))
        for key in self._parts.surplus(len(self._all())):
            if (shown := self._parts.get(key)) is not None:
                await self._take_away(key, shown.id)

    async def _take_away(self, key: PartKey, message_id: str) -> None:
        await self._send(partial(self._surface.delete, message_id), Sending.LAST)
        self._parts.forget(key)
        await self._hold.forget(self._turn, key.kind, key.index)

    async def _look_for_one_more(self, index: int) -> None:
        """An earlier attempt may have shown more than is recorded, and more than this one knows."""
        key = self._key(index)
        if self._parts.get(key) is None and self._parts.to_be_found(key):
            found = await retry(partial(self._find, key))
            if found is not None:
                self._hold.note(self._turn, self._parts.found(key, found))

    async def _find(self, key: PartKey) -> str | None:
        await self._hold.guard()
        return await self._surface.find(key, after=self._after, known=self._parts.message_ids)

    def _all(self) -> Sequence[Part]:
        """The parts that the thread is to show."""
        parts = self._text.parts()
        if len(self._steps) and self._style.cards:
            parts = self._with_cards(parts)
        if not self.curtailed:
            return parts
        stand = self._parts.text_count
        if self._parts.to_be_found(self._key(stand)):
            stand += 1  # perhaps: then it is finished like the others
        return parts[: max(1, stand)]

    def _with_cards(self, parts: Sequence[Part]) -> Sequence[Part]:
        """And those that have steps to show, and no words yet."""
        shown = list(parts)
        end = parts[-1].end if parts else 0
        while self._steps.of(len(shown)):
            shown.append(Part(len(shown), "", "", end, end, closed=self._text.complete))
        return shown

    def _progress(self, index: int, *, last: bool = False) -> Progress:
        """What a part shows of the agent's steps when its next call goes out; the `last` one ends it."""
        if not len(self._steps):
            return NO_PROGRESS
        if last:
            self._steps.close(index)
        if self._style.cards:
            return self._steps.of(index)
        return NO_PROGRESS if last else self._steps.line

    def _words_came(self, text: str = WORKING) -> None:
        if self.first_words_at is None and text:
            self.first_words_at = asyncio.get_running_loop().time()

    @property
    def _style(self) -> Style:
        return self._surface.style  # a surface may change its ways between two parts

    def _part(self, index: int) -> Part:
        """A part as it is when its call goes out, which may have waited for long."""
        parts = self._all()
        if index >= len(parts):
            raise _Outdated
        return parts[index]

    def _key(self, index: int) -> PartKey:
        return PartKey(self._turn, PartKind.TEXT, index)

    def _wanted(self, part: Part) -> str:
        whole = part.closed or self._style.appends
        return part.text if whole else part.text + part.closing

    def _last_buttons(self, index: int) -> Sequence[Button]:
        """Those that a part keeps."""
        is_last = self._finishing.is_set() and not self.curtailed and index + 1 == len(self._all())
        return self._under if is_last and self._part(index).text else ()

    async def _put_under(self) -> None:
        """A part that was finished while more might have come turned out to be the last."""
        index = len(self._all()) - 1
        shown = self._parts.get(self._key(index))
        if index in self._bare and shown is not None and self._last_buttons(index):
            self._bare.discard(index)
            await self._edit(self._key(index), index, shown)

    def _stop_button(self) -> Sequence[Button]:
        return (Button("stop", "Stop", self._turn),)

    # --- calls ----------------------------------------------------------------------------------------------

    async def once(self, key: PartKey, post: Callable[[], Awaitable[str]], sending: Sending) -> str:
        """Post a part that may have been posted before: by an earlier attempt, or by a call without an answer."""

        async def attempt() -> str:
            if self._parts.to_be_found(key):
                if (found := await self._find(key)) is not None:
                    return found
                self._parts.absent(key)
            try:
                return await post()
            except Unreachable:
                self._parts.doubtful(key)
                raise

        timer = None
        if sending is Sending.FIRST:
            timer = asyncio.get_running_loop().call_later(HELD_BACK, self._mark)
        try:
            return await self._send(attempt, sending)
        finally:
            if timer is not None:
                timer.cancel()
            if self._marking is not None:
                await asyncio.wait([self._marking])
                self._marking = None
                await self._surface.mark_waiting(self._asked, waits=False)

    def _mark(self) -> None:
        """The reply is held back: the question shows that it waits."""
        self._marking = asyncio.create_task(self._surface.mark_waiting(self._asked, waits=True), name="held back")

    async def _send(self, call: Callable[[], Awaitable[T]], sending: Sending) -> T:
        loop = asyncio.get_running_loop()

        async def attempt() -> T:
            async with self._surface.slot(sending):
                await self._hold.guard()
                try:
                    result = await call()
                except Throttled as error:
                    self._pacer.throttled(loop.time(), error.retry_after)
                    raise
            self._pacer.sent(loop.time())
            return result

        return await retry(attempt)

    async def _pause(self) -> None:
        """Between two steps of growth; not once the text is complete."""
        delay = self._pacer.delay(asyncio.get_running_loop().time())
        if delay <= 0:
            return
        try:
            async with asyncio.timeout(delay):
                await self._finishing.wait()
        except TimeoutError:
            return

    def _sending(self, index: int) -> Sending:
        if self._finishing.is_set():
            return Sending.LAST
        if index or self.first_words_at is not None:
            return Sending.GROWTH
        only_cards = self._parts.get(self._key(index)) is not None and not self._part(index).text
        return Sending.GROWTH if only_cards else Sending.FIRST


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a call brought into the thread."""

    part: Part
    text: str
    progress: Progress
    last: bool
    bare: bool = False  # it keeps no buttons


class _Outdated(Exception):
    """The text began again, and has no such part any more."""


def _nothing() -> None:
    return
