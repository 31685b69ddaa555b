"""What will happen in a chaos run: who writes what when, and which faults strike. No I/O; all of it follows from
the seed, so a seed replays the same plan."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tests.e2e.town import AGENTS

Database = Literal["sqlite", "postgres"]
PLATFORMS = ("slack", "discord")
PEOPLE = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Mary Jackson", "Edsger Dijkstra", "Barbara Liskov")
MOST_SAYINGS = 5  # of one thread
DIRECT = 0.1  # of the threads
HURRY = 0.6  # of the follow-ups come before the reply is finished
MAKERS = ("toqan", "sema4ai", "openai", "a2a")  # agents that make files
FILES = 0.25  # of their answers come with one
HELD = 0.08  # of Slack's messages are delivered after later ones
WORDS = (10, 60, 150, 400, 900)  # lengths of answers
OFTEN = (4, 4, 3, 2, 1)  # how often each
APART = 3.0  # seconds from the end of one heavy fault to the next
LIGHT_EVERY = 3.0  # seconds from one light fault to the next, on average
DOWN = (0.5, 4.0)  # seconds that a killed process or database stays away
DISK_FULL = (4.0, 10.0)
NAP = (3.0, 6.0)  # seconds that a lone process is frozen: there is nobody to take over


class Fault(StrEnum):
    KILL = "SIGKILL, started again"
    FREEZE = "SIGSTOP and thaw"
    BLACK_HOLE = "black hole to the database"
    CUT = "database connections cut"
    RESTART = "database crashed and started"
    DISK = "disk full"
    SLACK_LOST = "Slack: answers of calls lost"
    SLACK_ERRORS = "Slack: 5xx"
    SLACK_LIMITS = "Slack: 429"
    SLACK_REDELIVERY = "Slack: event delivered again"
    SLACK_EXPIRY = "Slack: streams expired"
    SLACK_SOCKET = "Slack: sockets cut"
    DISCORD_LOST = "Discord: answers of calls lost"
    DISCORD_ERRORS = "Discord: 5xx"
    DISCORD_LIMITS = "Discord: 429"
    DISCORD_REDELIVERY = "Discord: event delivered again"
    DISCORD_DROP = "Discord: gateway cut, resumed"
    DISCORD_INVALID = "Discord: session invalid (op 9)"
    BACKEND_ERRORS = "backend: 503"
    BACKEND_LOST = "backend: answers lost"
    BACKEND_CUT = "backend: streams cut"


HEAVY = (Fault.KILL, Fault.FREEZE, Fault.BLACK_HOLE, Fault.CUT, Fault.RESTART, Fault.DISK)
LIGHT = tuple(fault for fault in Fault if fault not in HEAVY)
POSTGRES_ONLY = (Fault.BLACK_HOLE, Fault.CUT, Fault.RESTART)


@dataclass(frozen=True, slots=True)
class Saying:
    """One message of a person, `after` seconds from the one before or, if they wait, from its reply. `held`:
    seconds for which the platform holds its delivery back. `file`: the answer comes with one."""

    words: int  # of the answer
    after: float = 0.0
    waits: bool = False
    held: float = 0.0
    file: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """One thread: who talks with which agent where, from second `at` on."""

    number: int
    at: float
    platform: str
    agent: str
    person: str
    direct: bool
    sayings: tuple[Saying, ...]


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault that strikes in second `at`, for so many seconds or calls."""

    at: float
    fault: Fault
    replica: int = 0
    agent: str = ""
    seconds: float = 0.0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    talks: tuple[Talk, ...]
    blows: tuple[Blow, ...]
    seconds: float  # in which it all begins

    @property
    def turns(self) -> int:
        return sum(len(talk.sayings) for talk in self.talks)


def applicable(database: Database, *, disk: bool) -> list[Fault]:
    """The faults that this database can meet; `disk`: a disk can be filled here."""
    if database == "postgres":
        return [fault for fault in Fault if fault is not Fault.DISK]
    return [fault for fault in Fault if fault not in POSTGRES_ONLY and (disk or fault is not Fault.DISK)]


def make_plan(
    seed: int, turns: int, replicas: int, faults: Sequence[Fault], *, speed: float, freeze: float
) -> Plan:
    """`speed`: messages a second. `freeze`: seconds of a freeze or a black hole with several replicas, longer than
    their lease."""
    seconds = turns / speed
    talks = tuple(_talks(random.Random(f"{seed} talks"), turns, seconds))
    chance = random.Random(f"{seed} blows")
    heavy = [fault for fault in faults if fault in HEAVY]
    light = [fault for fault in faults if fault in LIGHT]
    blows = [*_heavy(chance, heavy, replicas, seconds, freeze), *_light(chance, light, seconds)]
    return Plan(seed, talks, tuple(sorted(blows, key=lambda blow: blow.at)), seconds)


def counted(plan: Plan) -> Counter[Fault]:
    return Counter(blow.fault for blow in plan.blows)


def _talks(chance: random.Random, turns: int, seconds: float) -> Iterator[Talk]:
    left, number = turns, 0
    while left:
        platform = chance.choice(PLATFORMS)
        direct = chance.random() < DIRECT
        count = min(chance.randint(1, MOST_SAYINGS), left)
        at = round(chance.uniform(0, seconds), 2)
        agent = "general" if direct else chance.choice(AGENTS)
        yield Talk(
            number,
            at=at,
            platform=platform,
            agent=agent,
            person=chance.choice(PEOPLE).split()[0].lower(),
            direct=direct,
            sayings=tuple(_saying(chance, index, platform, makes=agent in MAKERS) for index in range(count)),
        )
        left, number = left - count, number + 1


def _saying(chance: random.Random, index: int, platform: str, *, makes: bool) -> Saying:
    held = chance.uniform(0.5, 3.0) if platform == "slack" and chance.random() < HELD else 0.0
    words = chance.choices(WORDS, OFTEN)[0]
    waits = index > 0 and chance.random() >= HURRY
    after = chance.uniform(0.1, 3.0) if index else 0.0
    return Saying(words, round(after, 2), waits, round(held, 2), makes and chance.random() < FILES)


def _heavy(
    chance: random.Random, faults: Sequence[Fault], replicas: int, seconds: float, freeze: float
) -> Iterator[Blow]:
    """One after the other, each kind as often as the next, never two at the same time."""
    at = chance.uniform(1.0, APART)
    while faults:
        for fault in chance.sample(faults, len(faults)):
            lasts = _lasts(chance, fault, replicas, freeze)
            if at > seconds:
                return
            yield Blow(round(at, 2), fault, chance.randrange(replicas), seconds=round(lasts, 2))
            at += lasts + chance.uniform(0.5, 1.5) * APART


def _lasts(chance: random.Random, fault: Fault, replicas: int, freeze: float) -> float:
    match fault:
        case Fault.FREEZE if replicas == 1:
            return chance.uniform(*NAP)
        case Fault.FREEZE | Fault.BLACK_HOLE:
            return freeze * chance.uniform(1.0, 1.2)
        case Fault.DISK:
            return chance.uniform(*DISK_FULL)
        case Fault.CUT:
            return 0.0
        case _:
            return chance.uniform(*DOWN)


def _light(chance: random.Random, faults: Sequence[Fault], seconds: float) -> Iterator[Blow]:
    at = chance.uniform(0, LIGHT_EVERY)
    while faults:
        for fault in chance.sample(faults, len(faults)):
            if at > seconds:
                return
            agents = [agent for agent in AGENTS if agent != "general"]
            yield Blow(round(at, 2), fault, agent=chance.choice(agents), times=chance.randint(1, 4))
            at += chance.uniform(0.5, 1.5) * LIGHT_EVERY
