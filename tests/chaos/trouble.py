"""Calls of the bridge to a platform or a backend that take effect, or don't, and are never answered."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.testing.backends.faults import Fault
from tests.e2e.town import Town

LONG = 60.0  # seconds: longer than any test
# The operation by which each backend is asked the first question of a conversation.
ASKED_BY = {
    "toqan": "create",
    "sema4ai": "stream",
    "enthusiast": "question",
    "agentok": "question",
    "fifthelement": "chat",
    "openai": "ask",
    "a2a": "SendStreamingMessage",
}


def stall_questions(town: Town, agents: Sequence[str], *, after: bool) -> None:
    """The next question to each backend is never answered; `after` it took effect or before."""
    for agent in agents:
        fault = Fault(when="after" if after else "before", stall=True)
        town.backend(agent).faults.add(ASKED_BY[agent], fault)


def stalled(town: Town, agents: Sequence[str]) -> bool:
    return all(town.backend(agent).faults.stalled.is_set() for agent in agents)


def hold(town: Town) -> None:
    """Let no run come to its end."""
    for backend in town.backends:
        backend.hold = True


def release(town: Town) -> None:
    for backend in town.backends:
        backend.release()


def lose_first_words(town: Town, platform: str, replies: int) -> None:
    """The first messages of so many replies are posted, and the bridge never hears of it."""
    if platform == "discord":
        town.discord.faults.delay("POST /channels/*/messages", LONG, after=True, times=replies)
        return
    for method in ("chat.startStream", "chat.postMessage"):
        town.slack.faults.hang_up(method, after=True, times=replies)
    town.slack.faults.delay("conversations.replies", LONG, times=replies)


def hold_last_words(town: Town, platform: str, replies: int) -> None:
    """The last edits of so many replies are under way for ever."""
    if platform == "discord":
        town.discord.faults.delay("PATCH /channels/*/messages/*", LONG, times=replies)
    else:
        town.slack.faults.delay("chat.stopStream", LONG, times=replies)


def held_edits(town: Town, platform: str, replies: int) -> bool:
    if platform == "discord":
        under_way = [one for one in town.discord.calls("PATCH /channels/*/messages/*") if one.status is None]
        return len(under_way) == replies
    return not any(fault.method == "chat.stopStream" for fault in town.slack.faults)


def mend(town: Town) -> None:
    town.slack.faults.clear()
    town.discord.faults.clear()
    for backend in town.backends:
        backend.faults.clear()
