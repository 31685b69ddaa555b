"""How events reach the app: Socket Mode connections or signed HTTP requests, with Slack's retries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters.testing.serving import hang_up
from bridge.playground.slack.errors import NotAnswered
from bridge.playground.slack.values import Json

MAX_CONNECTIONS = 10  # Socket Mode connections an app may hold
ACK_SECONDS = 3.0  # Slack's deadline for an acknowledgement
RETRY_DELAYS = (0.0, 60.0, 300.0)  # "almost immediately", one minute, five minutes
KEPT_ENVELOPES = 1_000
CONNECTION_SECONDS = 3_600  # what `hello` says about a connection's life

EnvelopeType = Literal["events_api", "interactive", "slash_commands"]


@dataclass(slots=True)
class Envelope:
    """One event, command or interaction on its way to the app, over all of its attempts."""

    type: EnvelopeType
    payload: Json
    attempts: int = 0
    acknowledged: bool = False
    reason: str = ""  # why the last attempt failed

    @property
    def event(self) -> Json:
        """The event inside, {} of a command or an interaction."""
        event: Json = self.payload.get("event", {})
        return event


@dataclass(slots=True)
class Connection:
    """One Socket Mode connection."""

    websocket: WebSocket
    silent: bool = False
    leaving: bool = False
    answers: dict[str, asyncio.Future[Json]] = field(default_factory=dict)

    async def send(self, message: Json) -> bool:
        try:
            await self.websocket.send_text(json.dumps(message))
        except (WebSocketDisconnect, RuntimeError):  # closed, or closing
            return False
        return True


class Deliveries:
    """Everything on its way to the app. `request_url` None means Socket Mode."""

    def __init__(
        self,
        *,
        signing_secret: str,
        app_id: str,
        clock: Callable[[], float],
        ack_seconds: float,
        retry_delays: Sequence[float],
        changed: Callable[[], None],
    ) -> None:
        self.request_url: str | None = None
        self.connections: list[Connection] = []
        self.envelopes: deque[Envelope] = deque(maxlen=KEPT_ENVELOPES)
        self.ack_seconds = ack_seconds
        self.retry_delays = tuple(retry_delays)
        self._signing_secret = signing_secret
        self._app_id = app_id
        self._clock = clock
        self._changed = changed  # called when a connection comes or goes and when an attempt ends
        self._tickets: deque[str] = deque(maxlen=KEPT_ENVELOPES)
        self._turn = 0
        self._held_back: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: httpx.AsyncClient | None = None

    # --- sending ---------------------------------------------------------------------------------------------

    def post(self, payload: Json) -> Envelope:
        """Send an event, again until it is acknowledged or the retries are used up. Returns at once."""
        envelope = Envelope("events_api", payload)
        self.envelopes.append(envelope)
        self._spawn(self._insist(envelope, self._held_back.pop(0) if self._held_back else None))
        return envelope

    def hold_back(self, seconds: float, *, times: int = 1) -> None:
        """Send each of the next events only after so many seconds, so that later ones overtake it."""
        self._held_back += [seconds] * times

    async def ask(self, kind: EnvelopeType, payload: Json) -> Json:
        """Send a command or an interaction, once, and return what the app acknowledged it with.

        Raises `NotAnswered` after `ack_seconds`.
        """
        envelope = Envelope(kind, payload)
        self.envelopes.append(envelope)
        answer = await self._attempt(envelope)
        if answer is None:
            raise NotAnswered(envelope.reason)
        return answer

    async def redeliver(self) -> Envelope:
        """Send the last event once more, as Slack does when an acknowledgement got lost."""
        last = next(envelope for envelope in reversed(self.envelopes) if envelope.type == "events_api")
        last.reason = "http_timeout"
        await self._attempt(last)
        return last

    async def settled(self) -> None:
        """Wait until nothing is on its way any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Give up what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, envelope: Envelope, first: float | None) -> None:
        for delay in (first, *self.retry_delays):
            if delay is not None:
                await asyncio.sleep(delay)
            if await self._attempt(envelope) is not None or envelope.reason == "no_retry":
                return

    async def _attempt(self, envelope: Envelope) -> Json | None:
        attempt = envelope.attempts
        envelope.attempts += 1
        if self.request_url is not None:
            answer = await self._attempt_http(self.request_url, envelope, attempt)
        else:
            answer = await self._attempt_socket(envelope, attempt)
        if answer is not None:
            envelope.acknowledged = True
        self._changed()
        return answer

    async def _attempt_socket(self, envelope: Envelope, attempt: int) -> Json | None:
        if not self.connections:
            envelope.reason = "connection_failed"
            return None
        staying = [connection for connection in self.connections if not connection.leaving]
        usable = staying or self.connections
        connection = usable[self._turn % len(usable)]
        self._turn += 1
        envelope_id = _uuid()
        message: Json = {
            "envelope_id": envelope_id,
            "payload": envelope.payload,
            "type": envelope.type,
            "accepts_response_payload": envelope.type != "events_api",
        }
        if envelope.type == "events_api":
            message |= {"retry_attempt": attempt, "retry_reason": envelope.reason}
        acknowledged: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        connection.answers[envelope_id] = acknowledged
        try:
            if not connection.silent and not await connection.send(message):
                envelope.reason = "connection_failed"
                return None
            async with asyncio.timeout(self.ack_seconds):
                return await acknowledged
        except TimeoutError:
            envelope.reason = "timeout"
            return None
        except ConnectionError:
            envelope.reason = "connection_failed"
            return None
        finally:
            connection.answers.pop(envelope_id, None)

    async def _attempt_http(self, url: str, envelope: Envelope, attempt: int) -> Json | None:
        match envelope.type:
            case "events_api":
                body, content_type = json.dumps(envelope.payload), "application/json"
            case "interactive":
                body = urlencode({"payload": json.dumps(envelope.payload)})
                content_type = "application/x-www-form-urlencoded"
            case "slash_commands":
                body, content_type = urlencode(envelope.payload), "application/x-www-form-urlencoded"
        headers = self.signed(body) | {"Content-Type": content_type}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": envelope.reason}
        try:
            response = await self._client().post(url, content=body, headers=headers, timeout=self.ack_seconds)
        except httpx.TimeoutException:
            envelope.reason = "http_timeout"
            return None
        except httpx.TransportError:
            envelope.reason = "connection_failed"
            return None
        if response.status_code != 200:
            envelope.reason = "no_retry" if response.headers.get("X-Slack-No-Retry") == "1" else "http_error"
            return None
        if not response.content:
            return {}
        if response.headers.get("content-type", "").startswith("application/json"):
            answer: Json = response.json()
            return answer
        return {"text": response.text}

    def signed(self, body: str) -> dict[str, str]:
        """The headers by which an app knows that a request comes from Slack."""
        at = str(int(self._clock()))
        base = f"v0:{at}:{body}".encode()
        digest = hmac.new(self._signing_secret.encode(), base, hashlib.sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": f"v0={digest}",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }

    async def verify(self, url: str, token: str) -> None:
        """The `url_verification` handshake. Raises `ValueError` if the address doesn't pass."""
        challenge = secrets.token_urlsafe(24)
        body = json.dumps({"type": "url_verification", "token": token, "challenge": challenge})
        headers = self.signed(body) | {"Content-Type": "application/json"}
        response = await self._client().post(url, content=body, headers=headers, timeout=self.ack_seconds)
        if response.status_code != 200 or challenge not in response.text:
            raise ValueError(f"the request URL didn't answer the challenge: HTTP {response.status_code}")

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(trust_env=False)
        return self._http

    # --- Socket Mode -----------------------------------------------------------------------------------------

    def ticket(self) -> str:
        """Good for one connection."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.append(ticket)
        return ticket

    async def hold(self, websocket: WebSocket) -> None:
        """Serve one Socket Mode connection until it ends."""
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await websocket.close(4000)
            return
        self._tickets.remove(ticket)
        await websocket.accept()
        connection = Connection(websocket)
        if len(self.connections) >= MAX_CONNECTIONS:
            await connection.send(_disconnect("too_many_websockets"))
            await websocket.close()
            return
        self.connections.append(connection)
        self._changed()
        await connection.send(
            {
                "type": "hello",
                "num_connections": len(self.connections),
                "debug_info": {"host": "simulated", "approximate_connection_time": CONNECTION_SECONDS},
                "connection_info": {"app_id": self._app_id},
            }
        )
        try:
            async for text in websocket.iter_text():
                _take_answer(connection, text)
        finally:
            if connection in self.connections:
                self.connections.remove(connection)
            for waiting in connection.answers.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError())
            self._changed()

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Ask every present connection to reconnect, as Slack does every few hours; `warning` says that it
        will be so in ten seconds. Until the app closes it, an old connection serves if there is no other."""
        for connection in list(self.connections):
            connection.leaving = True
            await connection.send(_disconnect(reason))

    def drop(self) -> None:
        """Cut every connection without a word, as a broken network does."""
        for connection in list(self.connections):
            self.connections.remove(connection)
            hang_up(connection.websocket.scope)

    def silence(self) -> None:
        """Let the present connections look alive and deliver nothing. Later ones work."""
        for connection in self.connections:
            connection.silent = True

    def speak(self) -> None:
        """End what `silence` began."""
        for connection in self.connections:
            connection.silent = False


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "simulated"}}


def _take_answer(connection: Connection, text: str) -> None:
    message = json.loads(text)
    waiting = connection.answers.get(message.get("envelope_id", ""))
    if waiting is not None and not waiting.done() and not connection.silent:
        waiting.set_result(message.get("payload") or {})


def _uuid() -> str:
    raw = secrets.token_hex(16)
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
