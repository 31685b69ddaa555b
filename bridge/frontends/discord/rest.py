"""The calls of Discord's REST API that a surface makes. Each passes the limits and the guard (see `calls`), and
what goes wrong comes out as a `SurfaceError`.

What is written goes out as plain payloads: that is a third of the work that discord.py's own objects make of it.
What is read comes as discord.py's messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import discord
from discord.http import Route

from bridge.frontends.discord.calls import Bucket, Call, Calls
from bridge.frontends.discord.errors import UnknownAnswer, told_apart
from bridge.frontends.discord.files import form_of
from bridge.turns.surface import Guard, Refused, Upload

Json = dict[str, Any]
Room = discord.TextChannel | discord.Thread | discord.PartialMessageable

NOBODY: Json = {"parse": []}  # allowed_mentions: nothing that is sent notifies anyone
UNKNOWN_TRIES = 8  # times in a row that a call may get an answer nobody knows; then it counts as refused


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as Discord answered to its sending."""

    id: str
    content: str
    buttons: int


class Rest:
    """One surface's calls."""

    def __init__(self, client: discord.Client, calls: Calls, guard: Guard) -> None:
        self._client = client
        self._calls = calls
        self._guard = guard
        self._unknown: Counter[str] = Counter()  # answers nobody knows, by call
        self.edits: Bucket | None = None  # the window of the last edit

    async def send(self, channel: int, payload: Json, files: Sequence[Upload] = ()) -> Sent:
        """A nonce in the payload is enforced: repeated, the call gives the message that is there."""
        payload = {"allowed_mentions": NOBODY, **payload}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel)
        with self._told("send"), ExitStack() as closing:
            if files:
                form, opened = form_of(payload, files, closing)
                message = await self._client.http.request(route, form=form, files=opened)
            else:
                message = await self._client.http.request(route, json=payload)
            rows = message.get("components") or ()
            return Sent(message["id"], message["content"], sum(len(row.get("components", ())) for row in rows))

    async def edit(self, channel: int, message: int, payload: Json) -> None:
        """Change what the payload names of a message."""
        route = Route(
            "PATCH", "/channels/{channel_id}/messages/{message_id}", channel_id=channel, message_id=message
        )
        with self._told("edit") as call:
            try:
                await self._client.http.request(route, json={"allowed_mentions": NOBODY, **payload})
            finally:
                self.edits = call.bucket

    async def delete(self, channel: int, message: int) -> None:
        route = Route(
            "DELETE", "/channels/{channel_id}/messages/{message_id}", channel_id=channel, message_id=message
        )
        await self._request("delete", route)

    async def start_thread(self, channel: int, message: int, name: str) -> None:
        route = Route(
            "POST", "/channels/{channel_id}/messages/{message_id}/threads", channel_id=channel, message_id=message
        )
        await self._request("open thread", route, json={"name": name})

    async def start_post(self, forum: int, name: str, payload: Json) -> int:
        """A forum's post with its first message. Has no nonce: repeated, the call makes another one."""
        route = Route("POST", "/channels/{channel_id}/threads", channel_id=forum)
        message = {"allowed_mentions": NOBODY, **payload}
        with self._told("open post"):
            return int((await self._client.http.request(route, json={"name": name, "message": message}))["id"])

    async def active_threads(self, guild: int) -> Sequence[Json]:
        route = Route("GET", "/guilds/{guild_id}/threads/active", guild_id=guild)
        with self._told("read threads"):
            return list((await self._client.http.request(route))["threads"])

    async def open_thread(self, thread: int) -> None:
        """Take a thread out of the archive."""
        route = Route("PATCH", "/channels/{channel_id}", channel_id=thread)
        await self._request("open thread", route, json={"archived": False})

    async def add_member(self, thread: int, person: str) -> None:
        route = Route(
            "PUT", "/channels/{channel_id}/thread-members/{user_id}", channel_id=thread, user_id=int(person)
        )
        await self._request("add to thread", route, urgent=False)

    async def react(self, channel: int, message: int, emoji: str, *, there: bool) -> None:
        """Put our reaction on a message, or take it away."""
        route = Route(
            "PUT" if there else "DELETE",
            f"/channels/{{channel_id}}/messages/{{message_id}}/reactions/{quote(emoji)}/@me",
            channel_id=channel,
            message_id=message,
        )
        await self._request("react", route)

    async def type(self, channel: int) -> None:
        route = Route("POST", "/channels/{channel_id}/typing", channel_id=channel)
        await self._request("typing", route, urgent=False)

    async def direct_channel(self, person: str) -> int:
        """A person's direct messages with the bot."""
        route = Route("POST", "/users/@me/channels")
        with self._told("open direct message"):
            return int((await self._client.http.request(route, json={"recipient_id": person}))["id"])

    async def is_locked(self, thread: int) -> bool:
        """Whether only moderators may open it again."""
        route = Route("GET", "/channels/{channel_id}", channel_id=thread)
        with self._told("read thread"):
            return bool((await self._client.http.request(route))["thread_metadata"]["locked"])

    async def message(self, channel: Room, message: int) -> discord.Message:
        with self._told("read message"):
            return await channel.fetch_message(message)

    async def history(
        self, channel: Room, *, limit: int, before: int | None = None, after: int | None = None
    ) -> AsyncIterator[discord.Message]:
        """Messages of a channel: those before an id, newest first, or those after one, oldest first."""
        bounds: Mapping[str, Any] = (
            {"before": discord.Object(before)} if before is not None else {"after": discord.Object(after or 0)}
        )
        found = channel.history(limit=limit, oldest_first=before is None, **bounds)
        while True:
            with self._told("read messages"):
                try:
                    message = await anext(found)
                except StopAsyncIteration:
                    return
            yield message

    async def _request(self, name: str, route: Route, *, urgent: bool = True, json: Json | None = None) -> None:
        with self._told(name, urgent=urgent):
            if json is None:
                await self._client.http.request(route)
            else:
                await self._client.http.request(route, json=json)

    @contextmanager
    def _told(self, name: str, *, urgent: bool = True) -> Iterator[Call]:
        try:
            with self._calls.guarded(self._guard, urgent=urgent) as call, told_apart(name):
                yield call
        except UnknownAnswer as error:
            self._unknown[name] += 1
            if self._unknown[name] > UNKNOWN_TRIES:
                del self._unknown[name]
                raise Refused(f"{error}, {UNKNOWN_TRIES} times in a row") from error.__cause__
            raise
        else:
            self._unknown.pop(name, None)
