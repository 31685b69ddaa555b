"""A press of one of our buttons: what was decided takes the buttons' place."""

from __future__ import annotations

import asyncio

import structlog

from bridge.frontends.common.asking import Asking
from bridge.frontends.slack.blocks import fallback, part_blocks, settled_blocks
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.files import is_slacks_own
from bridge.frontends.slack.reading import Pressed
from bridge.frontends.slack.telling import tell
from bridge.frontends.slack.workspace import Workspace, thread_ts
from bridge.inbound import Address
from bridge.turns.inbox import Decision, Inbox, Press
from bridge.turns.surface import ASK_AGAIN, EDITED, Button, SurfaceError

log = structlog.get_logger()

PATIENCE = 1.0  # seconds that an answer to a click may take, so that the click is acknowledged within Slack's 3
NOT_TAKEN = "That didn't work. Please try again."


class Presses:
    """Tells the inbox, then shows the decision. What was pressed for is done by then: a failure is only logged."""

    def __init__(self, inbox: Inbox, workspace: Workspace) -> None:
        self._asking = Asking(inbox, workspace.who_is)
        self._workspace = workspace

    async def decide(self, pressed: Pressed) -> None:
        press = Press(pressed.action, pressed.turn, pressed.person, pressed.address, pressed.value)
        try:
            decision = await self._asking.pressed(press)
        except SurfaceError as error:
            log.warning("slack.press_not_taken", reason=str(error))
            decision = Decision(NOT_TAKEN)
        if pressed.message is None:  # only this person sees the button, and nobody can take it away later
            await self._replace(pressed, decision.settled or decision.sentence)
            return
        if decision.settled:
            await self._settle(pressed, pressed.message, decision.settled)
        if decision.sentence:
            await tell(self._workspace, pressed.address, pressed.person, decision.sentence, in_thread=True)

    async def offer_again(self, address: Address, person: str, turn: str) -> None:
        """To whoever changed a question after it was asked, and to nobody else."""
        blocks = part_blocks(EDITED, (Button("reask", ASK_AGAIN, turn),))
        try:
            async with asyncio.timeout(PATIENCE):
                await self._workspace.client.chat_postEphemeral(
                    channel=address.channel, thread_ts=thread_ts(address), user=person, text=EDITED, blocks=blocks
                )
        except SDK_ERRORS as error:
            log.info("slack.not_offered", turn=turn, reason=Failure.of(error).reason)

    async def _settle(self, pressed: Pressed, message: Payload, line: str) -> None:
        text, blocks = fallback(str(message.get("text") or line)), settled_blocks(message, line)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._workspace.client.chat_update(
                    channel=pressed.address.channel, ts=str(message.get("ts")), text=text, blocks=blocks
                )
        except SDK_ERRORS as error:
            log.info("slack.buttons_stay", reason=Failure.of(error).reason)

    async def _replace(self, pressed: Pressed, line: str) -> None:
        body: Payload = {"replace_original": True, "text": fallback(line)} if line else {"delete_original": True}
        if not is_slacks_own(pressed.response_url, self._workspace.settings):
            log.info("slack.buttons_stay", reason="the address for the answer isn't Slack's")
            return
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._workspace.client.transfer("POST", pressed.response_url, json=body) as answer,
            ):
                if answer.status != 200:
                    log.info("slack.buttons_stay", reason=f"HTTP {answer.status}")
        except (SurfaceError, TimeoutError) as error:
            log.info("slack.buttons_stay", reason=str(error))
