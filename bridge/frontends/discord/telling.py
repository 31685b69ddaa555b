"""What a person is told beside the reply: that it waits, that it can't be shown, that it is complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping

import discord
import structlog
from cachetools import TTLCache

from bridge.frontends.discord.errors import told_apart
from bridge.frontends.discord.places import Place, Places
from bridge.frontends.discord.presses import MAX_TEXT
from bridge.frontends.discord.rest import Json, Rest
from bridge.inbound import Address, Person
from bridge.render.characters import boundary, repair
from bridge.render.discord import DISCORD
from bridge.render.measure import utf16
from bridge.turns.surface import Fenced, Refused, SurfaceError

log = structlog.get_logger()

WAITING = "⏳"
UNDELIVERABLE = "⚠️"
NOT_ALLOWED = "🚫"
MAX_REFUSED_DIRECTLY = 20  # people who get words besides the sign,
REFUSED_DIRECTLY_WITHIN = 600.0  # in so many seconds
SUPPRESS_EMBEDS = 1 << 2  # flag of a message: no previews of links
# Flag of a message that stands for a person's question, and of no part of a reply: so neither is taken for the other.
SILENT = 1 << 12
DONE = "-# <@{person}> · the answer is complete"


async def never_raises(sign: str, call: Callable[[], Awaitable[object]]) -> bool:
    """Whether it worked: a sign must not cost a reply."""
    try:
        await call()
    except (SurfaceError, Fenced) as error:
        log.info("discord.sign_failed", sign=sign, reason=str(error) or type(error).__name__)
        return False
    return True


def plain(text: str) -> str:
    """The bridge's own words, which may hold a person's: without a mention, and within a message's limit."""
    text = DISCORD.escape(repair(text))
    if utf16(text) <= MAX_TEXT:
        return text
    cut = text.encode("utf-16-le")[: 2 * (MAX_TEXT - 1)].decode("utf-16-le", "ignore")
    return cut[: boundary(cut, len(cut))] + "…"


def reply_to(message: int) -> Json:
    return {"message_id": str(message), "fail_if_not_exists": False}


class Refusals:
    """Tells who wrote why nothing is answered: in words in a direct message, as elsewhere others would read them. In a
    server a reaction stands for them, where they can't be said, too."""

    def __init__(self) -> None:
        # Discord takes a bot for a spammer that begins to write to many people at once.
        self._written_to: MutableMapping[int, bool] = TTLCache(MAX_REFUSED_DIRECTLY, REFUSED_DIRECTLY_WITHIN)

    async def tell(self, message: discord.Message, sentence: str) -> None:
        await never_raises("refusal", lambda: self._tell(message, sentence))

    async def tell_directly(self, user: discord.abc.Messageable, person: int, sentence: str) -> None:
        """Whoever put a reaction on somebody else's message."""
        await never_raises("refusal", lambda: self._tell_directly(user, person, sentence))

    async def _tell_directly(self, user: discord.abc.Messageable, person: int, sentence: str) -> None:
        if person not in self._written_to and len(self._written_to) >= MAX_REFUSED_DIRECTLY:
            return
        self._written_to[person] = True
        with told_apart("refuse"):
            await user.send(plain(sentence), suppress_embeds=True)

    async def _tell(self, message: discord.Message, sentence: str) -> None:
        author = message.author
        with told_apart("refuse"):
            if message.guild is not None:
                await message.add_reaction(NOT_ALLOWED)
                if author.id not in self._written_to and len(self._written_to) >= MAX_REFUSED_DIRECTLY:
                    return
                self._written_to[author.id] = True
            to = message.channel if message.guild is None else author
            await to.send(plain(sentence), suppress_embeds=True)


class Telling:
    """For one turn. `place` is where its thread is, None while nobody knows."""

    def __init__(self, rest: Rest, places: Places, address: Address, person: Person) -> None:
        self._rest = rest
        self._places = places
        self._address = address
        self._person = person

    async def mark(self, asked: str, emoji: str, place: Place | None, *, there: bool) -> bool:
        """Our reaction on a question."""
        return await never_raises("mark", lambda: self._mark(asked, emoji, place, there=there))

    async def undeliverable(self, asked: str, sentence: str, place: Place | None) -> bool:
        """Wherever it can be said: in the thread, in reply to the question, in a direct message, by a reaction."""
        payload = {
            "content": plain(sentence),
            "nonce": f"u{asked}"[:25],
            "enforce_nonce": True,
            "flags": SUPPRESS_EMBEDS,
        }
        ways: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: self._in_thread(payload, place),
            lambda: self._in_reply(payload, asked),
            lambda: self._directly(payload),
            lambda: self._mark(asked, UNDELIVERABLE, place, there=True),
        )
        for way in ways:
            if await never_raises("undeliverable", way):
                return True
        return False

    async def complete(self, turn: str, place: Place) -> None:
        """An edit notifies nobody. Whoever waited long is told by a mention, and nobody else is."""
        payload = {
            "content": DONE.format(person=self._person.id),
            "allowed_mentions": {"parse": [], "users": [self._person.id]},
            "nonce": f"{turn}-d",
            "enforce_nonce": True,
        }
        if place.root is not None:
            payload["message_reference"] = reply_to(place.root)
        await self._rest.send(place.channel, payload)

    def asks_in_channel(self, message: str) -> bool:
        """Whether it is the message that the thread is made from, in the parent channel."""
        return message == self._address.thread != self._address.channel and not self._places.in_forum

    async def _mark(self, asked: str, emoji: str, place: Place | None, *, there: bool) -> None:
        if self.asks_in_channel(asked):
            channel = int(self._address.channel)
        else:
            channel = (place or self._places.known() or Place(int(self._address.thread))).channel
        await self._rest.react(channel, int(asked), emoji, there=there)

    async def _in_thread(self, payload: Json, place: Place | None) -> None:
        place = place or self._places.known()
        if place is None or place.root is not None:
            raise Refused("there is no thread to say it in")
        await self._rest.send(place.channel, payload)

    async def _in_reply(self, payload: Json, asked: str) -> None:
        if not self.asks_in_channel(asked):
            raise Refused("the question stands in the thread")
        reply = {**payload, "message_reference": reply_to(int(asked))}
        await self._rest.send(int(self._address.channel), reply)

    async def _directly(self, payload: Json) -> None:
        await self._rest.send(await self._rest.direct_channel(self._person.id), payload)
