"""The people of a chaos run: they write what the plan says, and press the buttons that the bridge shows them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from bridge.playground.slack import Envelope, NotAnswered
from tests.chaos.judge import EXPLAINED, Kind, Observed, Press, Standing, Written, judge
from tests.chaos.plan import Plan, Saying, Talk
from tests.chaos.watching import discord_thread, slack_thread
from tests.chaos.words import question, token_of
from tests.chaos.world import World
from tests.e2e.people import DiscordPeople, People, Shown, SlackPeople, Thread
from tests.e2e.waiting import eventually

ECHOED = 100  # words at most that a person writes for the agent that echoes
ROUNDS = 1.0  # seconds between two looks at all threads for buttons
AGAIN = ("Send it again", "Try again")
LEAVE = "Leave it"
LEAVES = 0.25  # of those who are asked leave it
MOST_PRESSES = 5  # of one button that nothing follows
PRESSED_WITHIN = 5.0  # seconds until a press has an effect


@dataclass(slots=True)
class Open:
    """A thread as the crowd knows it."""

    key: str
    people: People
    thread: Thread
    person: str


@dataclass(slots=True)
class Crowd:
    world: World
    plan: Plan
    patience: float  # seconds that a person waits for a reply, or for a thread, before writing on
    written: list[Written] = field(default_factory=list)
    presses: list[tuple[str, Press]] = field(default_factory=list)  # each with the message of the button
    not_for_it: set[str] = field(default_factory=set)  # messages that the bridge must leave alone
    held: int = 0  # messages whose delivery was held back
    unwritten: int = 0  # messages that nobody wrote, as their thread never came to be
    _threads: dict[str, Open] = field(default_factory=dict)
    _events: dict[str, list[Envelope]] = field(default_factory=dict)
    _tried: dict[str, int] = field(default_factory=dict)  # presses by message of the bot

    # --- writing

    async def talk(self, talk: Talk) -> None:
        await asyncio.sleep(talk.at)
        opened: Open | None = None
        for index, saying in enumerate(talk.sayings):
            if saying.waits:
                await self._until(partial(self._has_ended, token_of(talk.number, index - 1)))
            await asyncio.sleep(saying.after)
            if opened is not None and not await self._until(partial(self._is_there, opened)):
                self.unwritten += len(talk.sayings) - index
                return
            opened = await self.say(talk, index, saying, opened)

    async def say(self, talk: Talk, index: int, saying: Saying, opened: Open | None) -> Open:
        """Write one message, into a thread that is open or as the first of a new one."""
        token = token_of(talk.number, index)
        counted = talk.agent in self.world.simulated
        words = saying.words if counted else min(saying.words, ECHOED)
        text = question(token, words, echoed=not counted, file=saying.file)
        if talk.platform == "slack":
            opened = await self._say_on_slack(talk, token, text, saying, opened)
        else:
            opened = await self._say_on_discord(talk, text, opened)
        self._threads[opened.key] = opened
        self.written.append(Written(token, opened.key, late=saying.held > 0, counted=counted, file=saying.file))
        return opened

    async def _say_on_slack(self, talk: Talk, token: str, text: str, saying: Saying, opened: Open | None) -> Open:
        world = self.world.slack
        channel = world.direct(talk.person).id if talk.direct else world.channel(talk.agent).id
        mention = "" if talk.direct or opened is not None else f"{world.mention} "
        if saying.held:
            self.held += 1
            world.deliveries.hold_back(saying.held, times=2 if mention else 1)
        root = opened.thread.id if opened is not None else None
        ts, self._events[token] = await world.deliver(talk.person, channel, f"{mention}{text}", root)
        if opened is not None:
            return opened
        return Open(slack_thread(channel, ts), SlackPeople(world), Thread(channel, ts, ts), talk.person)

    async def _say_on_discord(self, talk: Talk, text: str, opened: Open | None) -> Open:
        people = DiscordPeople(self.world.discord)
        if opened is not None:
            await people.reply(talk.person, opened.thread, text)
            return opened
        if talk.direct:
            thread = await people.direct(talk.person, text)
        else:
            thread = await people.say(talk.person, talk.agent, f"@threadbridge {text}")
        return Open(discord_thread(thread.id), people, thread, talk.person)

    def _is_there(self, opened: Open) -> bool:
        """On Discord a thread is there once the bot has opened it."""
        return isinstance(opened.people, SlackPeople) or int(opened.thread.id) in self.world.discord.channels

    def _has_ended(self, token: str) -> bool:
        return token in self.world.eyes.ended

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Whether it came true while a person had patience."""
        try:
            return await eventually(condition, self.patience)
        except TimeoutError:
            return False

    # --- reading

    def at_work(self, replica: int | None = None) -> frozenset[str]:
        """The threads with a message whose reply hasn't ended, or those of them that this replica showed last."""
        eyes = self.world.eyes
        threads = {one.thread for one in self.written if one.token not in eyes.ended}
        return frozenset(one for one in threads if replica is None or eyes.last.get(one) == replica)

    def observed(self) -> Observed:
        """All that can be judged, as it stands now."""
        threads = {
            key: [
                Standing(shown.text, shown.growing, tuple(shown.files))
                for shown in opened.people.shown(opened.thread)
            ]
            for key, opened in self._threads.items()
        }
        eyes = self.world.eyes
        written = [
            replace(one, late=one.late or any(event.attempts > 1 for event in self._events.get(one.token, ())))
            for one in self.written
            if one.token not in self.not_for_it
        ]
        return Observed(written, list(self.world.questions), threads, self._decisions(), list(eyes.changed))

    def _decisions(self) -> list[Press]:
        open_still = {
            shown.id
            for opened in self._threads.values()
            for shown in opened.people.shown(opened.thread)
            if any(label in shown.buttons for label in AGAIN)
        }
        return [replace(press, settled=message not in open_still) for message, press in self.presses]

    def unanswered(self) -> dict[str, set[str]]:
        """The messages without a whole reply, by thread."""
        found: dict[str, set[str]] = {}
        for finding in judge(self.observed()):
            if finding.kind in (Kind.LOST, Kind.TORN, Kind.TOLD, Kind.LEFT):
                found.setdefault(finding.thread, set()).add(finding.token)
        return found

    # --- pressing

    async def press_buttons(self) -> None:
        """Answer what the bridge asks, like people, for ever."""
        while True:
            await asyncio.sleep(ROUNDS)
            for opened in list(self._threads.values()):
                for shown in opened.people.shown(opened.thread):
                    if self.can_press(shown):
                        await self._press(opened, shown)

    def can_press(self, shown: Shown) -> bool:
        decides = any(label in shown.buttons for label in AGAIN)
        return decides and self._tried.get(shown.id, 0) < MOST_PRESSES

    def waiting(self) -> bool:
        """Whether a button is still to be pressed."""
        shown = (one for opened in self._threads.values() for one in opened.people.shown(opened.thread))
        return any(self.can_press(one) for one in shown)

    def unsettled(self) -> bool:
        """Whether something is still to come: a reply, its end, or a person's decision."""
        return self.waiting() or any(
            finding.kind in (*EXPLAINED, Kind.GROWING) for finding in judge(self.observed())
        )

    async def _press(self, opened: Open, shown: Shown) -> None:
        self._tried[shown.id] = self._tried.get(shown.id, 0) + 1
        chance = random.Random(f"{self.plan.seed} {shown.id}")
        leaves = LEAVE in shown.buttons and chance.random() < LEAVES
        label = LEAVE if leaves else next(label for label in AGAIN if label in shown.buttons)
        unanswered = frozenset(self.unanswered().get(opened.key, ()))
        try:
            if isinstance(opened.people, DiscordPeople):
                world = self.world.discord
                interaction = await world.press(opened.person, int(shown.id), shown.buttons[label])
                await world.until(lambda: interaction.answered, PRESSED_WITHIN)
            else:
                await opened.people.press(opened.person, shown, label)
        except (NotAnswered, TimeoutError, LookupError):
            if self._tried[shown.id] > 1:
                return  # noted before: it may have had its effect without an answer
        else:
            self._tried[shown.id] = MOST_PRESSES
        self.presses.append((shown.id, Press(opened.key, not leaves, unanswered)))
