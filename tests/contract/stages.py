"""One thread on each kind of surface, in one shape: what people see of it, and how it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.inbound import Address, ContextMessage, Inbound, Person, Platform, RemoteFile, Seen
from bridge.playground.discord import MessageType
from bridge.turns.inbox import Decision, Edit, Listing, Order, Press
from bridge.turns.progress import Progress
from bridge.turns.surface import FrontEnd, Guard, Opening, Surface, Upload
from tests.e2e.people import DiscordPeople, People, Shown, SlackPeople, Thread
from tests.e2e.town import Town, make_town
from tests.e2e.waiting import eventually
from tests.turns.world import HERE, MemoryPlatform, unguarded

Trouble = Literal["lost", "unheard", "unheard upload", "throttled", "gone", "unknown"]
TALK = (("ada", "The printer is on fire."), ("grace", "Which one?"), ("ada", "The red one."))
LASTING = 100  # calls
NOT_THE_SURFACES = ("auth.test", "bots.info", "apps.connections.open")  # the front end's own calls
DELAY = 2  # seconds that a platform asks for
LONG_DELAY = 60  # discord.py sits out less than 30 by itself


class Stage(Protocol):
    asked: str  # the message that is answered: the last of `TALK`
    delay: int  # seconds that "throttled" asks for

    def surface(self, guard: Guard = unguarded) -> Surface:
        """A new one each time, as after a restart."""
        ...

    def opening(self, guard: Guard = unguarded) -> Opening:
        """In the channel of the thread."""
        ...

    def said(self) -> list[str]:
        """The bot's messages in the channel, outside threads."""
        ...

    def shown(self) -> list[Shown]: ...

    def trouble(self, kind: Trouble) -> None:
        """What the next write meets: it is lost, or takes effect and its answer is lost, or it is one too many,
        or the channel is gone, or it is refused by a code that nobody knows; these two last until `mend`."""
        ...

    def calls(self) -> int:
        """HTTP calls to the platform since the beginning."""
        ...

    def mend(self) -> None: ...

    async def say(self, who: str, text: str) -> str:
        """A person writes in the thread; the message's id."""
        ...

    async def attach(self, content: bytes) -> RemoteFile:
        """A file that a person put into the thread."""
        ...

    def name(self, who: str) -> str: ...


class NoInbox:
    """Nobody listens: this is about what the surface writes."""

    async def take(self, inbound: Inbound) -> bool:
        return False

    async def admit(self, address: Address, person: Person) -> None: ...

    async def may_order(self, order: Order) -> None: ...

    async def knows(self, address: Address) -> bool:
        return True  # nothing is to be looked up

    async def edited(self, address: Address, message_id: str, text: str) -> Edit:
        return Edit()

    async def deleted(self, address: Address, message_id: str) -> None: ...

    async def pressed(self, press: Press) -> Decision:
        return Decision()

    async def ordered(self, order: Order) -> str:
        return ""

    async def refuses(self, press: Press) -> str:
        return ""

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        return {}

    async def refusal(self, address: Address, files: Sequence[RemoteFile]) -> str:
        return ""

    async def files(self, order: Order) -> Listing:
        return Listing(order.address, ())

    @asynccontextmanager
    async def download(self, order: Order, max_bytes: int, progress: Progress) -> AsyncIterator[Upload | str]:
        yield ""

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        return []

    async def stop(self, address: Address) -> None: ...


class MemoryStage:
    asked = "question"
    delay = DELAY

    def __init__(self) -> None:
        self.platform = MemoryPlatform(before=[ContextMessage(self.name(who), text) for who, text in TALK[:-1]])

    def surface(self, guard: Guard = unguarded) -> Surface:
        return self.platform.surface(HERE, person=Person("U1"), guard=guard)

    def opening(self, guard: Guard = unguarded) -> Opening:
        return self.platform.opening(HERE.channel, "", guard=guard)

    def said(self) -> list[str]:
        return self.platform.texts()

    def calls(self) -> int:
        return self.platform.calls

    def shown(self) -> list[Shown]:
        return [
            Shown(
                message.id,
                message.text,
                len(message.text),
                not message.finished,
                dict(message.files),
                {button.label: button.action for button in message.buttons},
            )
            for message in self.platform.messages
        ]

    def trouble(self, kind: Trouble) -> None:
        self.platform.faults.append("unheard" if kind == "unheard upload" else kind)

    def mend(self) -> None:
        self.platform.faults.clear()

    async def say(self, who: str, text: str) -> str:
        raise NotImplementedError

    async def attach(self, content: bytes) -> RemoteFile:
        self.platform.contents["F1"] = content
        return RemoteFile("F1", "notes.txt", "text/plain", len(content), "memory:F1")

    def name(self, who: str) -> str:
        return who.title()


@dataclass
class SlackStage:
    town: Town
    people: SlackPeople
    front: SlackFrontEnd
    thread: Thread
    asked: str
    delay: int = DELAY

    def surface(self, guard: Guard = unguarded) -> Surface:
        address = Address("slack", self.town.slack.team_id, self.thread.channel, self.thread.id)
        return self.front.surface(address, person=Person(self.town.slack.person("ada").id), guard=guard)

    def opening(self, guard: Guard = unguarded) -> Opening:
        return self.front.opening(self.thread.channel, "", guard=guard)

    def said(self) -> list[str]:
        world = self.town.slack
        messages = world.channels[self.thread.channel].messages.values()
        return [one.shown for one in messages if one.user == world.bot.id and one.thread_ts is None]

    def calls(self) -> int:
        return len([call for call in self.town.slack.made_calls if call.method not in NOT_THE_SURFACES])

    def shown(self) -> list[Shown]:
        return self.people.shown(self.thread)

    def trouble(self, kind: Trouble) -> None:
        faults = self.town.slack.faults
        match kind:
            case "lost":
                faults.hang_up("*")
            case "unheard":
                faults.hang_up("*", after=True)
            case "unheard upload":
                faults.hang_up("files.completeUploadExternal", after=True)
            case "throttled":
                faults.throttle("*", self.delay)
            case "gone":
                faults.refuse("*", "channel_not_found", times=LASTING)
            case "unknown":
                faults.refuse("*", "never_heard_of", times=LASTING)

    def mend(self) -> None:
        self.town.slack.faults.clear()

    async def say(self, who: str, text: str) -> str:
        return await self.people.reply(who, self.thread, text)

    async def attach(self, content: bytes) -> RemoteFile:
        file = self.town.slack.store("notes.txt", "text/plain", content, self.town.slack.person("ada").id)
        url = f"{self.town.url}/slack/files-pri/{self.town.slack.team_id}-{file.id}/download/notes.txt"
        return RemoteFile(file.id, file.name, file.media_type, len(content), url)

    def name(self, who: str) -> str:
        return self.people.named(who)


@dataclass
class DiscordStage:
    town: Town
    people: DiscordPeople
    front: DiscordFrontEnd
    thread: Thread
    asked: str
    delay: int = LONG_DELAY

    def surface(self, guard: Guard = unguarded) -> Surface:
        address = Address("discord", str(self.town.discord.guild.id), self.thread.channel, self.thread.id)
        return self.front.surface(address, person=Person(str(self.town.discord.person("ada").id)), guard=guard)

    def opening(self, guard: Guard = unguarded) -> Opening:
        return self.front.opening(self.thread.channel, "", guard=guard)

    def said(self) -> list[str]:
        world = self.town.discord
        ours = (MessageType.DEFAULT, MessageType.REPLY)
        messages = world.messages(self.thread.channel)
        return [one.content for one in messages if one.author.id == world.bot.id and one.type in ours]

    def calls(self) -> int:
        return len(self.town.discord.calls())

    def shown(self) -> list[Shown]:
        return self.people.shown(self.thread)

    def trouble(self, kind: Trouble) -> None:
        faults = self.town.discord.faults
        match kind:
            case "lost":
                faults.hang_up("*")
            case "unheard" | "unheard upload":
                faults.hang_up("*", after=True)
            case "throttled":
                faults.throttle("*", self.delay)
            case "gone":
                faults.refuse("*", 404, 10003, "Unknown Channel", times=LASTING)
            case "unknown":
                faults.refuse("*", 418, 99999, "Never heard of", times=LASTING)

    def mend(self) -> None:
        self.town.discord.faults.clear()

    async def say(self, who: str, text: str) -> str:
        return await self.people.reply(who, self.thread, text)

    async def attach(self, content: bytes) -> RemoteFile:
        await self.people.reply("ada", self.thread, "", [("notes.txt", "text/plain", content)])
        [file] = self.town.discord.messages(self.thread.id)[-1].attachments
        url = self.town.discord.url_of(file)
        return RemoteFile(str(file.id), file.name, file.media_type, file.size, url)

    def name(self, who: str) -> str:
        return self.people.named(who)


class FlatSlackStage(SlackStage):
    """The channel itself is the conversation."""

    def shown(self) -> list[Shown]:
        here = self.town.slack.channel(self.thread.channel).messages.values()
        bot = self.town.slack.bot.id
        return [self.people._shown(one) for one in here if one.user == bot and one.thread_ts is None]

    async def say(self, who: str, text: str) -> str:
        return (await self.people.say(who, self.thread.channel, text)).first


class FlatDiscordStage(DiscordStage):
    """The same on Discord."""


@asynccontextmanager
async def memory_stage() -> AsyncIterator[Stage]:
    yield MemoryStage()


@asynccontextmanager
async def slack_stage() -> AsyncIterator[Stage]:
    async with make_town() as town:
        people = SlackPeople(town.slack)
        settings = town.settings(database=Path("unused.db")).slack
        assert settings is not None
        front = SlackFrontEnd(settings, NoInbox())
        async with _served(front, people):
            thread, asked = await _talk(people)
            yield SlackStage(town, people, front, thread, asked)


@asynccontextmanager
async def discord_stage() -> AsyncIterator[Stage]:
    async with make_town() as town:
        people = DiscordPeople(town.discord)
        settings = town.settings(database=Path("unused.db")).discord
        assert settings is not None
        front = DiscordFrontEnd(settings, NoInbox())
        async with _served(front, people):
            thread, asked = await _talk(people)
            await eventually(lambda: front.client.get_channel(int(thread.id)))
            yield DiscordStage(town, people, front, thread, asked)


@asynccontextmanager
async def flat_slack_stage() -> AsyncIterator[Stage]:
    async with slack_stage() as stage:
        assert isinstance(stage, SlackStage)
        thread, asked = await _talk_in_channel(stage.people)
        yield FlatSlackStage(stage.town, stage.people, stage.front, thread, asked)


@asynccontextmanager
async def flat_discord_stage() -> AsyncIterator[Stage]:
    async with discord_stage() as stage:
        assert isinstance(stage, DiscordStage)
        thread, asked = await _talk_in_channel(stage.people)
        yield FlatDiscordStage(stage.town, stage.people, stage.front, thread, asked)


@asynccontextmanager
async def _served(front: FrontEnd, people: People) -> AsyncIterator[None]:
    serving = asyncio.create_task(front.serve())
    try:
        await eventually(lambda: front.trouble() is None and people.connected())
        yield
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _talk(people: People) -> tuple[Thread, str]:
    thread = await people.talk_first("general", TALK[:-1])
    who, text = TALK[-1]
    return thread, await people.reply(who, thread, text)


async def _talk_in_channel(people: People) -> tuple[Thread, str]:
    said = [await people.say(who, "toqan", text) for who, text in TALK]
    place = said[-1].channel
    return Thread(place, place, said[0].first), said[-1].first
