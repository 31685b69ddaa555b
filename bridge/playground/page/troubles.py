"""What the page's visitor can break with one click, to see that nothing is lost and nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from adapters.testing.backends.base import Backend
from adapters.testing.backends.faults import EVERY, Fault, cut, drop, refuse
from bridge.playground.discord import DiscordWorld
from bridge.playground.page.views import CantDo
from bridge.playground.slack import SlackWorld

PAUSE = 2  # seconds that a 429 asks for
DOWN = 5.0  # seconds that an agent is down
ARMED = 60.0  # seconds that a trouble waits for a question
CALLS = 1_000  # more than are made while an agent is down

# By kind: the operations that take a question, and those that stream an answer and can be taken up again.
ASKING = {
    "toqan": ("create", "continue"),
    "sema4ai": ("stream",),
    "enthusiast": ("question",),
    "agentok": ("question",),
    "fifthelement": ("chat",),
    "openai": ("ask",),
    "a2a": ("SendStreamingMessage",),
}
STREAMING = {"sema4ai": "stream", "openai": "ask", "a2a": "SendStreamingMessage"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """`cause` makes it and raises `CantDo` when there is nothing to break; `said` tells what to look for."""

    label: str
    said: str
    cause: Callable[[], None]


class TroubleView(TypedDict):
    id: str
    place: str  # a platform's name or an agent's
    label: str


def views_of(troubles: Mapping[str, Mapping[str, Trouble]]) -> list[TroubleView]:
    return [
        {"id": name, "place": place, "label": trouble.label}
        for place, ones in troubles.items()
        for name, trouble in ones.items()
    ]


def slack_troubles(world: SlackWorld) -> dict[str, Trouble]:
    def lose_answer() -> None:
        world.faults.break_down("chat.startStream", 500, after=True)

    def throttle() -> None:
        world.faults.throttle("chat.appendStream", PAUSE)

    def deliver_again() -> None:
        for envelope in reversed(world.deliveries.envelopes):
            if envelope.type == "events_api" and envelope.event.get("client_msg_id"):
                world.deliveries.post(envelope.payload)
                return
        raise CantDo("Write something first: there is nothing to deliver again.")

    return {
        "drop": Trouble(
            "Drop the socket",
            "Slack's socket is cut. The bridge connects again; what you write meanwhile is delivered later.",
            world.deliveries.drop,
        ),
        "again": Trouble(
            "Deliver my message twice",
            "Slack delivers your last message once more. Nothing should happen: it was asked already.",
            deliver_again,
        ),
        "expire": Trouble(
            "Expire the streams",
            "Slack ends every running stream now. A reply goes on in a new message, with nothing lost.",
            world.expire_streams,
        ),
        "lost": Trouble(
            "Lose a post's answer",
            "The next reply is posted, and Slack answers 500. The bridge finds it instead of posting it again.",
            lose_answer,
        ),
        "throttle": Trouble(
            "Too many requests",
            f"The next words meet a 429 and wait {PAUSE} seconds. They come all the same.",
            throttle,
        ),
    }


def discord_troubles(world: DiscordWorld) -> dict[str, Trouble]:
    def lose_answer() -> None:
        world.faults.break_down("POST /channels/*/messages", 500, after=True)

    def throttle() -> None:
        world.faults.throttle("PATCH /channels/*/messages/*", PAUSE)

    def cut_edit() -> None:
        world.faults.hang_up("PATCH /channels/*/messages/*", after=True)

    def deliver_again() -> None:
        found = False
        for session in world.gateway.sessions.values():
            for frame in reversed(session.sent):
                if frame["t"] == "MESSAGE_CREATE" and not frame["d"]["author"].get("bot"):
                    session.deliver(frame)
                    found = True
                    break
        if not found:
            raise CantDo("Write something first: there is nothing to deliver again.")

    return {
        "drop": Trouble(
            "Drop the gateway",
            "Discord's socket is cut. The bridge resumes, and what you write meanwhile is replayed.",
            world.gateway.drop,
        ),
        "again": Trouble(
            "Deliver my message twice",
            "Discord delivers your last message once more. Nothing should happen: it was asked already.",
            deliver_again,
        ),
        "lost": Trouble(
            "Lose a post's answer",
            "The next reply is posted, and Discord answers 500. Its nonce makes the second try harmless.",
            lose_answer,
        ),
        "cut": Trouble(
            "Cut an edit off",
            "The next edit takes effect and its connection breaks. The reply goes on growing.",
            cut_edit,
        ),
        "throttle": Trouble(
            "Too many requests",
            f"The next edit meets a 429 and waits {PAUSE} seconds. The words come all the same.",
            throttle,
        ),
    }


def agent_troubles(kind: str, backend: Backend) -> dict[str, Trouble]:
    """Troubles of a simulated backend. They end by themselves."""

    def arm(operations: tuple[str, ...], fault: Fault, *, seconds: float = ARMED, times: int = 1) -> None:
        backend.faults.clear()
        for operation in operations:
            backend.faults.add(operation, fault, times=times)
        asyncio.get_running_loop().call_later(seconds, backend.faults.clear)

    troubles = {
        "down": Trouble(
            f"Agent down for {DOWN:g} s",
            f"The {kind} agent answers 503 for {DOWN:g} seconds. Ask now: you get the answer, or are told.",
            lambda: arm((EVERY,), refuse(503), seconds=DOWN, times=CALLS),
        ),
        "lost": Trouble(
            "Lose a question's answer",
            f"The {kind} agent gets the next question and the connection breaks before it can say so. "
            "The bridge looks whether it arrived; where nobody can tell, you are asked.",
            lambda: arm(ASKING[kind], drop(after=True)),
        ),
    }
    if kind in STREAMING:
        troubles["cut"] = Trouble(
            "Cut the agent's stream",
            f"The next answer of {kind} breaks off in mid-sentence. The rest is read where the agent keeps it.",
            lambda: arm((STREAMING[kind],), cut(after=6)),
        )
    return troubles
