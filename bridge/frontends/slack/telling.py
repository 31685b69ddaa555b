"""What a person alone is told, beside all replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from bridge.frontends.slack.blocks import fallback, part_blocks
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.workspace import Workspace, thread_ts
from bridge.inbound import Address, Person
from bridge.turns.surface import Button

log = structlog.get_logger()

PATIENCE = 1.0  # seconds that words for one person may take, so that all is acknowledged within Slack's 3


async def tell(
    workspace: Workspace,
    address: Address,
    person: Person,
    sentence: str,
    *,
    in_thread: bool,
    buttons: Sequence[Button] = (),
) -> None:
    """Say something that this person alone sees. `in_thread`: Slack shows such words in threads that there are."""
    blocks = part_blocks(fallback(sentence), buttons) if buttons else None
    try:
        async with asyncio.timeout(PATIENCE):
            await workspace.client.chat_postEphemeral(
                channel=address.channel,
                thread_ts=thread_ts(address) if in_thread else None,
                user=person.id,
                text=fallback(sentence),
                blocks=blocks,
            )
    except SDK_ERRORS as error:
        log.info("slack.answer_lost", reason=Failure.of(error).reason)
