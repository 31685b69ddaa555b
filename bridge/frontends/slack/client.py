"""The way to Slack: every HTTP call goes through here, so that one place guards, counts and tells answers
apart."""

from __future__ import annotations

import base64
import copy
import logging
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from cachetools import LRUCache
from opentelemetry.trace import SpanKind
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bridge import metrics, tracing
from bridge.frontends.common.budget import WINDOW, Budget
from bridge.frontends.slack.errors import SDK_ERRORS, TOKEN_IS_BAD, Failure, NotSlacksAnswer
from bridge.frontends.slack.settings import SlackSettings
from bridge.turns.surface import Guard, SurfaceError, Throttled, Unreachable

# The SDK's own lines can hold what people wrote and the tickets of sockets. Ours say the same without.
SDK_LOG = logging.getLogger("threadbridge.slack.sdk")
SDK_LOG.setLevel(logging.CRITICAL)

START = "chat.startStream"
APPEND = "chat.appendStream"
STOP = "chat.stopStream"
POST = "chat.postMessage"
UPDATE = "chat.update"
HISTORY = "conversations.history"
REPLIES = "conversations.replies"
REACT = "reactions.add"
UNREACT = "reactions.remove"

# Slack's tiers, in calls a minute and workspace; it takes more when it can.
TIERS = {START: 20, APPEND: 100, STOP: 20, UPDATE: 50, HISTORY: 50, REPLIES: 50, REACT: 50, UNREACT: 50}
# "One message per second per channel", short bursts allowed.
POSTS, POSTS_WINDOW = 5, 5.0
CHANNELS = 10_000  # whose posts are counted; the one that was posted to longest ago is forgotten
READ_TRIES = 2  # of a call that changes nothing


async def unguarded() -> None:
    """The guard of what belongs to no thread."""


class Budgets:
    """A workspace's budgets, by method. `scale` makes a minute shorter, for tests."""

    def __init__(self, scale: float = 1.0) -> None:
        self._methods = {
            # Some apps get one call of these a minute, whatever is documented for others.
            name: Budget(calls, window=WINDOW / scale, least=1.0 if name in (HISTORY, REPLIES) else None)
            for name, calls in TIERS.items()
        }
        self._posts: MutableMapping[str, Budget] = LRUCache(CHANNELS)
        self._scale = scale

    def of(self, method: str, channel: str = "") -> Budget | None:
        """None for a method that nobody calls often."""
        if method != POST:
            return self._methods.get(method)
        budget = self._posts.get(channel)
        if budget is None:
            budget = self._posts[channel] = Budget(POSTS, window=POSTS_WINDOW / self._scale)
        return budget


def required(answer: AsyncSlackResponse, name: str) -> Any:
    """A value without which an answer is none. Raises one of `SDK_ERRORS`."""
    value = answer.get(name)
    if value is None:
        raise NotSlacksAnswer(200, {})
    return value


@dataclass(slots=True)
class Connections:
    """Shared by all clients of a process."""

    session: aiohttp.ClientSession | None = None


class Login:
    """With what a client is let in: here a token that stays the same."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    @property
    def token(self) -> str:
        return self._token

    async def ready(self) -> None:
        """Awaited before each call. Raises one of `SDK_ERRORS` where none is to be made."""

    def refused(self, code: str) -> None:
        """Slack didn't take the token."""

    def unknown(self) -> SurfaceError:
        """Why nobody knows who the app is there."""
        return Unreachable("Slack wasn't asked yet who we are")


OWN = "own"  # stands for the login's token, up to the moment of a call
_OWN_HEADER = f"Bearer {OWN}"


class Client(AsyncWebClient):
    """Slack's own client. A call that changes something is made once: whether it may be repeated is for the reply
    to find out. One that only reads is made a second time. Neither sits out a 429.

    `paid` is the method whose budget the caller waited for; calls of any other are only counted.
    """

    def __init__(
        self,
        settings: SlackSettings,
        budgets: Budgets,
        login: Login | None,
        connections: Connections | None = None,
    ) -> None:
        """Without a login only for methods that take other credentials."""
        self.connections = connections or Connections()
        token = None if login is None else OWN
        super().__init__(token=token, base_url=settings.api_url, retry_handlers=[], logger=SDK_LOG)
        self.login = login or Login()
        self._budgets = budgets
        self._guard: Guard = unguarded
        self.paid = ""

    def guarded(self, guard: Guard) -> Client:
        """The same connections, and `guard` awaited right before each HTTP call."""
        client = copy.copy(self)
        client._guard = guard
        client.paid = ""
        return client

    @property
    def session(self) -> aiohttp.ClientSession | None:
        return self.connections.session

    @session.setter
    def session(self, session: aiohttp.ClientSession | None) -> None:
        self.connections.session = session

    async def exchange(self, client_id: str, client_secret: str, **given: str) -> AsyncSlackResponse:
        """`oauth.v2.access`. Not the SDK's own, which makes a header by what aiohttp is about to drop."""
        credentials = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode("ascii")
        return await self.api_call(
            "oauth.v2.access", data=given, headers={"Authorization": f"Basic {credentials}"}
        )

    @asynccontextmanager
    async def transfer(self, verb: str, url: str, **arguments: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Any other HTTP call: bytes of a file, an answer to a press. No redirect is followed. Raises `Throttled`
        and `Unreachable`."""
        await self._guard()
        try:
            await self.login.ready()
        except SDK_ERRORS as error:
            raise Failure.of(error).surface_error(verb) from None
        session = self.session
        if session is None:
            raise Unreachable(f"{verb} to Slack: not connected")
        span = tracing.call(f"{verb} transfer", {"messaging.system": "slack"})
        try:
            async with session.request(verb, url, allow_redirects=False, **arguments) as answer:
                span.set_attribute("http.response.status_code", answer.status)
                if answer.status == 429:
                    metrics.throttled("slack", "files")
                    failure = Failure.of(NotSlacksAnswer(429, answer.headers))
                    raise Throttled(f"{verb} to Slack: HTTP 429", failure.delay)
                yield answer
        except (
            aiohttp.ClientError,
            TimeoutError,
            ConnectionError,
            ValueError,
        ) as error:  # ValueError: no address at all
            tracing.failed(span, type(error).__name__)
            raise Unreachable(f"{verb} to Slack: {type(error).__name__}") from error
        finally:
            span.end()

    async def _request(self, *, http_verb: str, api_url: str, req_args: dict[str, Any]) -> dict[str, Any]:
        method = api_url.removeprefix(self.base_url)
        channel = str((req_args.get("json") or {}).get("channel", "")) if method == POST else ""
        budget = self._budgets.of(method, channel)
        tries = READ_TRIES if http_verb == "GET" else 1
        headers = dict(req_args.get("headers") or {})
        own = headers.get("Authorization") == _OWN_HEADER
        while True:
            tries -= 1
            await self._guard()
            if own:
                await self.login.ready()
                req_args = req_args | {"headers": headers | {"Authorization": f"Bearer {self.login.token}"}}
            if self.paid == method:
                self.paid = ""
            elif budget is not None:
                budget.sent()
            try:
                answer = await self._told(method, http_verb, api_url, dict(req_args))
            except SDK_ERRORS:
                if tries:
                    continue
                raise
            if own and (code := str(answer["data"].get("error"))) in TOKEN_IS_BAD:
                self.login.refused(code)
            if answer["status_code"] == 429:
                metrics.throttled("slack", method)
                if budget is not None:
                    budget.refused(Failure.of(NotSlacksAnswer(429, answer["headers"])).delay)
            if answer["status_code"] < 500 or not tries:
                return answer

    async def _told(self, method: str, verb: str, url: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """An exchange as a span of the turn's trace: the method's name, and what became of it."""
        with tracing.span(method, {"messaging.system": "slack"}, kind=SpanKind.CLIENT) as span:
            answer = await self._exchange(verb, url, arguments)
            span.set_attribute("http.response.status_code", answer["status_code"])
            if not answer["data"].get("ok"):
                tracing.failed(span, str(answer["data"].get("error", answer["status_code"])))
            return answer

    async def _exchange(self, verb: str, url: str, arguments: dict[str, Any]) -> dict[str, Any]:
        send: Callable[..., Any] = super()._request
        try:
            answer: dict[str, Any] = await send(http_verb=verb, api_url=url, req_args=arguments)
        except (UnicodeError, LookupError):  # bytes that are no text, a charset that nobody knows
            raise NotSlacksAnswer(0, {}) from None
        if not isinstance(answer["data"], dict):
            raise NotSlacksAnswer(answer["status_code"], answer["headers"])
        return answer
