"""What all surfaces of one workspace share: the client, who we are, and what the workspace refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import aiohttp
from cachetools import LRUCache

from bridge.frontends.slack.client import HISTORY, REPLIES, Budgets, Client, Connections, Login, required
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import NOT_IN_CHANNEL, NOT_IN_WORKSPACE, SDK_ERRORS, Failure
from bridge.frontends.slack.people import People
from bridge.frontends.slack.reading import Me, address_of, listening_in
from bridge.frontends.slack.settings import SlackSettings
from bridge.inbound import Address, Person
from bridge.listening import ListeningAt, as_ever

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)  # seconds; the SDK's own total, too
IDLE_WITHIN = 3.0  # seconds that the last signs may hold up the end
PAGE = 200  # messages; Slack gives fewer where it must
REMEMBERED = 10_000  # threads
MAX_REFUSALS = 1_000  # remembered; a workspace rarely has that many channels where a method is refused


class Refusals:
    """Methods that this workspace, or a channel of it, won't do: tried once in a process, not each time."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def learn(self, failure: Failure, method: str, channel: str) -> None:
        """Remember a refusal if it is for good; one of a thread or a text isn't."""
        if failure.code in NOT_IN_WORKSPACE:
            self._known.add((method, ""))
        elif failure.code in NOT_IN_CHANNEL and len(self._known) < MAX_REFUSALS:
            self._known.add((method, channel))

    def has(self, method: str, channel: str) -> bool:
        return (method, "") in self._known or (method, channel) in self._known


class Sign(Protocol):
    """Shows in a thread that the agent works; None ends it. Never raises."""

    async def show(self, label: str | None) -> None: ...


class Workspace:
    """One workspace, as long as it is served."""

    def __init__(
        self,
        settings: SlackSettings,
        budgets: Budgets | None = None,
        *,
        login: Login | None = None,
        connections: Connections | None = None,
        listening_at: ListeningAt = as_ever,
    ) -> None:
        """Without a `login` that of the settings' bot token, where they have one."""
        if login is None and settings.bot_token is not None:
            login = Login(settings.bot_token.get_secret_value())
        self.settings = settings
        self.listening_at = listening_at
        self.budgets = budgets or Budgets()
        self.client = Client(settings, self.budgets, login, connections)
        self.people = People()
        self.refusals = Refusals()
        self.scopes: frozenset[str] | None = None  # of the bot token; None as long as Slack didn't say
        self.busy: dict[Address, Sign] = {}  # the threads that are shown to be worked on
        self.suspended: MutableMapping[Address, bool] = LRUCache(REMEMBERED)  # sessions that wait for a person
        self._me: Me | None = None

    @property
    def me(self) -> Me:
        """Raises `Unreachable` before `identify`, and `Gone` where the app isn't installed."""
        if self._me is None:
            raise self.client.login.unknown()
        return self._me

    async def who_is(self, person: Person, _: Address) -> Person:
        """With a standing in this workspace. Raises a `SurfaceError` where Slack can't be asked."""
        return await self.people.identify(self.client, person, self.me.team)

    def begun_by(self, channel: str, ts: str) -> Address:
        """The thread of what is asked by a message in the channel itself."""
        return address_of(channel, ts, None, self.me, listening_in(channel, self.me, self.listening_at))

    @property
    def identified(self) -> bool:
        return self._me is not None

    def identify(self, me: Me, scopes: frozenset[str] | None = None) -> None:
        self._me = me
        self.scopes = scopes

    def lacks(self, scope: str) -> bool:
        """Whether the token is known to be without a scope."""
        return self.scopes is not None and scope not in self.scopes

    @property
    def token(self) -> str:
        return self.client.login.token

    async def look_idle(self) -> None:
        """End the signs of the turns that were cut short. Whoever takes them up shows signs of its own."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_WITHIN):
                await asyncio.gather(*(sign.show(None) for sign in list(self.busy.values())))

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[None]:
        """Keep connections open between calls. Outside of the block each call makes its own."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            self.client.session = session
            try:
                yield
            finally:
                self.client.session = None


def thread_ts(address: Address) -> str | None:
    """What Slack calls a thread by; None where the channel itself is the conversation, or a thread begins."""
    return None if address.is_flat else address.thread or None


async def replies(client: Client, address: Address, *, pages: int, **window: Any) -> AsyncIterator[Payload]:
    """The messages of a thread, oldest first, at most `pages` pages of them; of a channel that is one conversation the
    latest. Raises `SurfaceError`."""
    if not address.is_flat:
        async for message in _pages(client, REPLIES, pages, channel=address.channel, ts=address.thread, **window):
            yield message
        return
    history = _pages(client, HISTORY, pages, channel=address.channel, **window)
    for message in reversed([message async for message in history]):
        yield message


async def _pages(client: Client, method: str, pages: int, **asked: Any) -> AsyncIterator[Payload]:
    """A limit that is met after the first page ends the reading there: some apps get a page a minute."""
    read = client.conversations_replies if method == REPLIES else client.conversations_history
    cursor = None
    for page in range(pages):
        try:
            answer = await read(limit=PAGE, cursor=cursor, include_all_metadata=True, **asked)
            messages = required(answer, "messages")
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if page and not failure.refused:
                return
            raise failure.surface_error(method) from error
        for message in messages:
            yield message
        cursor = (answer.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return
