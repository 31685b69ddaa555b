"""What is asked of the inbox for a person: who that is where it matters, and what the person alone is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from bridge.frontends.slack.blocks import fallback
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Inbound, Person
from bridge.turns.inbox import Decision, Inbox, Press, Unidentified

log = structlog.get_logger()

PATIENCE = 1.0  # seconds that words for one person may take, so that all is acknowledged within Slack's 3


async def take(inbox: Inbox, workspace: Workspace, inbound: Inbound) -> bool:
    """As `Inbox.take`, with the person looked up where it depends on that. Raises a `SurfaceError` where Slack can't be
    asked: what isn't acknowledged then, it delivers again."""
    try:
        return await inbox.take(inbound)
    except Unidentified:
        return await inbox.take(replace(inbound, person=await _identified(workspace, inbound.person)))


async def press(inbox: Inbox, workspace: Workspace, press: Press) -> Decision:
    """As `Inbox.pressed`, likewise."""
    try:
        return await inbox.pressed(press)
    except Unidentified:
        return await inbox.pressed(replace(press, person=await _identified(workspace, press.person)))


async def tell(workspace: Workspace, address: Address, person: Person, sentence: str, *, in_thread: bool) -> None:
    """Say something that this person alone sees. `in_thread`: Slack shows such words in threads that there are."""
    try:
        async with asyncio.timeout(PATIENCE):
            await workspace.client.chat_postEphemeral(
                channel=address.channel,
                thread_ts=address.thread if in_thread else None,
                user=person.id,
                text=fallback(sentence),
            )
    except SDK_ERRORS as error:
        log.info("slack.answer_lost", reason=Failure.of(error).reason)


async def _identified(workspace: Workspace, person: Person) -> Person:
    return await workspace.people.identify(workspace.client, person, workspace.me.team)
