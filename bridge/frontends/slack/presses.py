"""A press of one of our buttons: what was decided takes the buttons' place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from bridge.frontends.common.asking import Asking
from bridge.frontends.slack.answering import FORMS, TEXT, form, submitted
from bridge.frontends.slack.blocks import fallback, part_blocks, settled_blocks
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.files import is_slacks_own
from bridge.frontends.slack.reading import Pressed
from bridge.frontends.slack.telling import tell
from bridge.frontends.slack.workspace import Workspace, thread_ts
from bridge.inbound import Address, Person
from bridge.turns.inbox import Decision, Inbox, Press
from bridge.turns.surface import ASK_AGAIN, EDITED, Button, SurfaceError

log = structlog.get_logger()

NOT_OPENED = "That didn't work. Please press again."
PATIENCE = 1.0  # seconds that an answer to a click may take, so that the click is acknowledged within Slack's 3
NOT_TAKEN = "That didn't work. Please try again."


class Presses:
    """Tells the inbox, then shows the decision. What was pressed for is done by then: a failure is only logged."""

    def __init__(self, inbox: Inbox, workspace: Workspace) -> None:
        self._asking = Asking(inbox, workspace.who_is)
        self._workspace = workspace

    async def decide(self, pressed: Pressed) -> None:
        press = Press(pressed.action, pressed.turn, pressed.person, pressed.address, pressed.value)
        if press.action in FORMS:
            await self._open_form(pressed, press)
            return
        decision = await self._pressed(press)
        if pressed.message is None:  # only this person sees the button, and nobody can take it away later
            await self._replace(pressed, decision.settled or decision.sentence)
            return
        if decision.settled:
            await self._settle(pressed, pressed.message, decision.settled)
        if decision.sentence:
            await self._tell(pressed, decision.sentence, decision.buttons)

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

    async def submitted(self, body: Payload) -> dict[str, Any]:
        """What a form is acknowledged with: nothing, or why it stays open."""
        filled, user = submitted(body.get("view") or {}), body.get("user") or {}
        if filled is None or not user.get("id"):
            return {}
        action, turn, channel, thread, text = filled
        person = Person(str(user["id"]), str(user.get("name") or ""), str(user.get("team_id") or ""))
        address = Address("slack", self._workspace.me.team, channel, thread)
        decision = await self._pressed(Press(action, turn, person, address, text))
        if not decision.sentence:
            return {}
        return {"response_action": "errors", "errors": {TEXT: decision.sentence}}

    async def _pressed(self, press: Press) -> Decision:
        try:
            return await self._asking.pressed(press)
        except SurfaceError as error:
            log.warning("slack.press_not_taken", reason=str(error))
            return Decision(NOT_TAKEN)

    async def _tell(self, pressed: Pressed, sentence: str, buttons: Sequence[Button] = ()) -> None:
        place = pressed.address, pressed.person
        await tell(self._workspace, *place, sentence, in_thread=True, buttons=buttons)

    async def _open_form(self, pressed: Pressed, press: Press) -> None:
        try:
            refusal = await self._asking.refuses(press)
        except SurfaceError as error:
            log.warning("slack.press_not_taken", reason=str(error))
            refusal = NOT_TAKEN
        if refusal:
            await self._tell(pressed, refusal)
            return
        view = form(press.action, press.turn, press.address.channel, press.address.thread)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._workspace.client.views_open(trigger_id=pressed.trigger, view=view)
        except SDK_ERRORS as error:
            log.info("slack.modal_not_opened", reason=Failure.of(error).reason)
            await self._tell(pressed, NOT_OPENED)

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
