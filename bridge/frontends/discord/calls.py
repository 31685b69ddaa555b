"""What every request to Discord's REST API passes, right before it goes out: its limits, then its guard.

discord.py sends the requests and repeats some by itself. Two of its seams serve: its session tells of each request
(also of a repeated one), and a bucket of its rate limits can be another one. discord.py's own would refuse a call
whose window ends late, however many are left in it, and would hold a call that spends a window until its end, with
the answer in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType

import aiohttp
import discord
import yarl
from discord.http import Ratelimit

from bridge import metrics, tracing
from bridge.frontends.common.budget import Allowance, Budget
from bridge.frontends.discord.recent import Recent
from bridge.turns.surface import Guard

SECOND = 1.0  # the window of the whole bot's requests
LONGEST_WAIT = 30.0  # seconds that a call waits here for its window; longer ones are the caller's to wait out
MAX_BUCKETS = 10_000  # windows remembered, some 5 MB; the oldest is forgotten first
# All that is told of an address: any other piece of it may be an id, a token or what somebody wrote.
WORDS = frozenset({
    "api", "applications", "attachments", "callback", "channels", "commands", "gateway", "bot", "guilds",
    "interactions", "members", "messages", "oauth2", "reactions", "roles", "search", "thread-members", "threads",
    "typing", "users", "webhooks", "@me", "@original",
})  # fmt: skip
KINDS = WORDS - {"api"}
OTHER = "other"
RESERVED = 1  # of a window's edits: growth leaves them to last words


async def unguarded() -> None:
    """The guard of what needs no claim."""


@dataclass(eq=False, slots=True)
class Call:
    """What a request is made for. `counted`: a slot has taken its place in the budget already."""

    guard: Guard
    urgent: bool
    counted: bool = False
    bucket: Bucket | None = None  # the one that it went through


@dataclass(eq=False, slots=True)
class _Slot:
    urgent: bool
    counted: bool = True


_call: ContextVar[Call | None] = ContextVar("discord call", default=None)
_slot: ContextVar[_Slot | None] = ContextVar("discord slot", default=None)


class Bucket(Ratelimit):
    """One window of a route's requests, as Discord's headers tell of it. Urgent calls go before others."""

    __slots__ = ("_others", "_timer", "_urgent")

    def __init__(self, max_ratelimit_timeout: float | None) -> None:  # noqa: ARG002 - discord.py passes its own
        # Less than discord.py's: there is one of these for each kind of call and channel.
        self.limit = self.remaining = 1
        self.outgoing = 0
        self.reset_after = 0.0
        self.expires: float | None = None
        self.dirty = False
        self._loop = asyncio.get_running_loop()
        self._urgent: list[asyncio.Future[None]] = []
        self._others: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self) -> None:
        """Wait for room. Raises `RateLimited` where that would take longer than `LONGEST_WAIT`."""
        call = _call.get()
        urgent = call is None or call.urgent
        if call is not None:
            call.bucket = self
        if not self._has_room() or self._urgent or (self._others and not urgent):
            await self._wait(self._urgent if urgent else self._others)
        else:
            self._go()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    @property
    def wait(self) -> float:
        """Seconds until growth may go out again: 0 while the window holds more than what is reserved."""
        if self.expires is None or self.limit <= RESERVED or self.remaining > RESERVED:
            return 0.0
        return max(0.0, self.expires - self._loop.time())

    def _has_room(self) -> bool:
        if self.is_expired():
            self.reset()  # type: ignore[no-untyped-call]
        return self.remaining > 0

    def _go(self) -> None:
        self.remaining -= 1
        self.outgoing += 1

    def _leave(self) -> None:
        self.outgoing -= 1
        if self.expires is None:  # Discord told of no window
            self.remaining = self.limit - self.outgoing
        self._admit()

    def _window(self) -> float:
        return 0.0 if self.expires is None else self.expires - self._loop.time()

    async def _wait(self, queue: list[asyncio.Future[None]]) -> None:
        if self._window() > LONGEST_WAIT:
            raise discord.RateLimited(self._window())
        place: asyncio.Future[None] = self._loop.create_future()
        queue.append(place)
        self._admit()
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await place
        except BaseException as error:
            if place in queue:
                queue.remove(place)
            elif place.done() and not place.cancelled():
                self._leave()  # let in and cancelled in one go
            if isinstance(error, TimeoutError):
                raise discord.RateLimited(max(1.0, self._window())) from None
            raise

    def _admit(self) -> None:
        while (queue := self._urgent or self._others) and self._has_room():
            place = queue.pop(0)
            if not place.done():
                self._go()
                place.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (self._urgent or self._others) and self.expires is not None:
            self._timer = self._loop.call_later(max(0.0, self._window()) + 0.001, self._admit)


class _Allowed(Allowance):
    """Never more than is documented: whoever tries loses the whole bot's calls for a while."""

    def delay(self, now: float) -> float:
        if (wait := super().delay(now)) > 0 or self._count(now) < self._documented:
            return wait
        return max(0.0, self._sent[len(self._sent) - self._documented] + self._window - now)


class _BotBudget(Budget):
    def __init__(self, requests_a_second: int) -> None:
        super().__init__(requests_a_second, window=SECOND)
        self._allowance = _Allowed(requests_a_second, SECOND)


class Calls:
    """The limits of one bot, for all its surfaces."""

    def __init__(self, requests_a_second: int) -> None:
        self._budget = _BotBudget(requests_a_second)
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_start.append(self._before)
        self.trace.on_request_end.append(self._after)
        self.trace.on_request_exception.append(_broke)

    @contextmanager
    def guarded(self, guard: Guard, *, urgent: bool = True) -> Iterator[Call]:
        """All requests made inside wait for the budget, then for `guard`, one by one."""
        slot = _slot.get()
        call = Call(guard, slot.urgent if slot else urgent)
        if slot is not None:
            call.counted, slot.counted = slot.counted, False
        token = _call.set(call)
        try:
            yield call
        finally:
            _call.reset(token)

    @asynccontextmanager
    async def slot(self, *, urgent: bool) -> AsyncIterator[None]:
        """A place in the budget for the first request that is made inside."""
        async with self._budget.slot(urgent=urgent):
            before = _slot.get()
            _slot.set(_Slot(urgent))
            try:
                yield
            finally:
                _slot.set(before)

    async def admitted(self, call: Call) -> None:
        """Wait until a request may go out, and count it."""
        if not call.counted:
            async with self._budget.slot(urgent=call.urgent):
                pass
        call.counted = False
        await call.guard()

    async def _before(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002
        context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        if (call := _call.get()) is not None:
            await self.admitted(call)
        name = named(params.method, params.url.path)
        context.span = tracing.call(name, {"messaging.system": "discord", "http.request.method": params.method})

    async def _after(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002
        context: SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        status, span = params.response.status, context.span
        span.set_attribute("http.response.status_code", status)
        if status >= 400:
            tracing.failed(span, str(status))
        span.end()
        headers = params.response.headers
        if params.response.status != 429:
            return
        metrics.throttled("discord", f"{params.method} {kind_of(params.url)}")
        if "X-RateLimit-Global" in headers:
            self._budget.refused(retry_after(headers.get("Retry-After"), 1.0))


def hand_on_limits(client: discord.Client) -> None:
    """Let discord.py use our buckets and raise `RateLimited` for each 429. It would sleep inside the call, and
    where that is cancelled during a limit of the whole bot, no later call would ever go out."""
    discord.http.Ratelimit = Bucket  # type: ignore[misc]  # there is no other way
    # Once there are many, discord.py looks through all of them for each new one.
    client.http._buckets = Recent(MAX_BUCKETS)
    client.http._try_clear_expired_ratelimits = lambda: None  # type: ignore[method-assign]
    client.http.max_ratelimit_timeout = 1e-9  # the parameter takes nothing below 30 s


async def _broke(
    session: aiohttp.ClientSession,  # noqa: ARG001
    context: SimpleNamespace,
    params: aiohttp.TraceRequestExceptionParams,
) -> None:
    if (span := getattr(context, "span", None)) is not None:  # none where the guard raised
        tracing.failed(span, type(params.exception).__name__)
        span.end()


def named(method: str, path: str) -> str:
    """A request as Discord's documentation names it: ids, tokens and emoji are left out."""
    words = [word if word in WORDS else "{}" for word in path.split("/")[1:]]
    for start in (["api", "{}"], ["{}", "api", "{}"]):  # its version, and where it is mounted
        if words[: len(start)] == start:
            words = words[len(start) :]
    return f"{method} /{'/'.join(words)}"


def kind_of(url: yarl.URL) -> str:
    """What is asked for, without ids, tokens and names: "channels/messages"."""
    return "/".join(part for part in url.raw_parts if part in KINDS) or OTHER


def retry_after(value: str | None, default: float) -> float:
    """The seconds of a Retry-After header."""
    try:
        return max(0.0, float(value)) if value else default
    except ValueError:
        return default
