"""A turn's reply: what the turn says to it, and the pump and the signs behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self

from adapters.base import Step, StepState
from bridge import metrics
from bridge.inbound import position
from bridge.render.data import Data
from bridge.store.values import storable
from bridge.turns.hold import Hold
from bridge.turns.parts import Parts
from bridge.turns.pump import Pump
from bridge.turns.signs import Signs
from bridge.turns.steps import Ending, Steps
from bridge.turns.surface import Button, Draws, PartKey, PartKind, Refused, Sending, Surface, Upload
from bridge.turns.text import ReplyText


class Reply:
    """Used as a context manager around a turn; leaving it by an exception stops the pump where it is."""

    def __init__(
        self,
        surface: Surface,
        hold: Hold,
        parts: Parts,
        *,
        turn: str,
        asked: str,
        last_part: str | None,
        steps: Steps | None = None,
    ) -> None:
        self._surface = surface
        self._hold = hold
        self._parts = parts
        self._turn = turn
        self._text = ReplyText(surface.style, parts.cuts)
        after = _later(asked, last_part)
        self._steps = steps or Steps()
        self._pump = Pump(surface, hold, self._text, parts, self._steps, turn=turn, asked=asked, after=after)
        self.signs = Signs(surface, self._pump.label)
        self._pumping: asyncio.Task[None] | None = None
        self._began = 0.0

    async def __aenter__(self) -> Self:
        self._began = asyncio.get_running_loop().time()
        self._pumping = asyncio.create_task(self._pump.run(), name=f"reply {self._turn}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pumping is not None  # noqa: S101  # made on entering
        self._pumping.cancel()
        await asyncio.gather(self._pumping, self.signs.close(), return_exceptions=True)

    def on_stop(self, tell: Callable[[], None]) -> None:
        """`tell` is called when a person stopped the reply on the platform."""
        self._pump.on_stop = tell

    # --- text -----------------------------------------------------------------------------------------------

    def text(self, delta: str) -> None:
        """More of the answer."""
        self._text.feed(delta)
        self._pump.wake()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing stands in for the text meanwhile: what is found out now is to stand above it."""
        self._pump.waits_for_more = True
        try:
            yield
        finally:
            self._pump.waits_for_more = False
            self._pump.wake()

    def begin_anew(self) -> None:
        """The agent begins its answer again."""
        self._text.begin_anew(self._parts.cuts)
        self._pump.begin_anew()

    # --- the agent's work -----------------------------------------------------------------------------------

    def status(self, label: str) -> None:
        """What the agent is doing."""
        self._steps.phase(label)
        self.signs.working(label)
        if len(self._steps):
            self._steps_changed()

    def step(self, step: Step) -> None:
        """A piece of it."""
        if not self._steps.add(step):
            return
        if step.state is StepState.RUNNING:
            self._show_doing(self._steps.line.phase)
        self._steps_changed()

    def settle(self, ending: Ending) -> None:
        """There are no more steps. Said before `finish` and `close`, which know less of how it ended."""
        self._steps.settle(ending)
        if len(self._steps):
            self._steps_changed()

    def _show_doing(self, label: str) -> None:
        if self._surface.style.cards and self._parts.text_count:
            self.signs.note(label)  # its card says it
        else:
            self.signs.working(label)

    def _steps_changed(self) -> None:
        self._hold.note_steps(self._turn, self._steps.stored)
        self._pump.wake()

    # --- its end --------------------------------------------------------------------------------------------

    async def finish(self, text: str | None = None, below: str = "", under: Sequence[Button] = ()) -> None:
        """The answer is complete; `text` is the whole of it where it may differ from what was streamed, and `below`
        is what follows it, rendered; `under` are the buttons of its last part. Returns when every part stands in the
        thread, and raises what has kept one from it."""
        self._steps.settle(Ending.WHOLE)
        if not self._text.complete and not self._text.finish(text, below):
            self._pump.begin_anew()
        self._pump.finish(under)
        assert self._pumping is not None  # noqa: S101  # made on entering
        await asyncio.shield(self._pumping)

    def curtail(self) -> None:
        """A person wants no more of a reply that is being delivered: what stands in the thread is finished."""
        self._pump.curtail()

    @property
    def curtailed(self) -> bool:
        return self._pump.curtailed

    async def close(self) -> None:
        """The answer will never be known: what is shown of it stands, and no longer grows."""
        self._steps.settle(Ending.FAILED)
        self._pump.halt()
        assert self._pumping is not None  # noqa: S101  # made on entering
        await asyncio.shield(self._pumping)
        await self._pump.close()

    @property
    def so_far(self) -> str:
        return self._text.so_far

    @property
    def length(self) -> int:
        """Characters of the answer so far."""
        return self._text.length

    @property
    def overflowed(self) -> bool:
        """Whether the answer is longer than what is shown as messages."""
        return self._text.overflowed

    # --- other parts ----------------------------------------------------------------------------------------

    async def message(self, key: PartKey, text: str, buttons: Sequence[Button] = ()) -> None:
        """A part that is whole at once: a notice, what the agent asks back."""
        text = storable(text)  # an adapter's may quote a backend

        async def post() -> str:
            return await self._surface.post(key, text, last=True, buttons=buttons)

        if self._parts.get(key) is None:
            self._note(key, await self._pump.once(key, post, Sending.LAST), text)

    async def notice(self, index: int, sentence: str, buttons: Sequence[Button] = ()) -> None:
        """The bridge's own words."""
        await self.message(PartKey(self._turn, PartKind.NOTICE, index), sentence, buttons)

    async def upload(self, key: PartKey, upload: Upload, text: str = "") -> None:
        """A file into the thread."""

        async def post() -> str:
            message_id = await self._surface.upload(key, [upload], text)
            metrics.file_moved(self._hold.claim.address.platform, "out", upload.size)
            return message_id

        if self._parts.get(key) is None:
            self._note(key, await self._pump.once(key, post, Sending.LAST), text)

    async def draw(self, key: PartKey, data: Data) -> None:
        """A table or a chart in the platform's own form. Raises `Refused` where it has none after all."""
        surface: object = self._surface
        if self._parts.get(key) is not None:
            return
        if not isinstance(surface, Draws):
            raise Refused("nothing is drawn there")
        self._note(key, await self._pump.once(key, partial(surface.draw, key, data), Sending.LAST), data.title)

    def has(self, key: PartKey) -> bool:
        """Whether a part is known to stand in the thread."""
        return self._parts.get(key) is not None

    @property
    def part_count(self) -> int:
        return len(self._parts)

    @property
    def last_part(self) -> str | None:
        return self._parts.last

    @property
    def first_words_after(self) -> float | None:
        """Seconds from the reply's beginning."""
        at = self._pump.first_words_at
        return None if at is None else at - self._began

    def _note(self, key: PartKey, message_id: str, text: str) -> None:
        self._parts.posted(key, message_id, text, 0)
        self._hold.note(self._turn, self._parts.finished(key, text, 0, None))


def _later(asked: str, last_part: str | None) -> str:
    """The message after which this reply's parts stand: the question, or the reply before, if that came later."""
    if last_part is None:
        return asked
    try:
        return max(asked, last_part, key=position)
    except ValueError:  # a platform whose ids don't tell
        return asked
