"""The shortcuts in a message's menu: a form is opened, and what was filled in becomes a question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import structlog

from bridge.frontends.common.asking import Asking
from bridge.frontends.slack.about import DIRECT, TEXT, Quoted, Shortcut, modal, question, submitted
from bridge.frontends.slack.bringing import NOT_DONE
from bridge.frontends.slack.client import required
from bridge.frontends.slack.commands import ANSWER_WITHIN, Question, escaped
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person

log = structlog.get_logger()

RECENT_WITHIN = 1.0  # seconds: a form has to be opened within 3
LINK_WITHIN = 1.0

NOT_OURS = "This form is out of date. Open it again from the message's menu."


class Shortcuts:
    """For one workspace. `take` shows a question and asks it: why not, or ""."""

    def __init__(self, asking: Asking, workspace: Workspace, take: Callable[[Question], Awaitable[str]]) -> None:
        self._asking = asking
        self._workspace = workspace
        self._take = take

    async def open(self, body: Payload) -> None:
        """Show the form. Never raises."""
        quoted = Quoted.of(body)
        view = modal(cast(Shortcut, body["callback_id"]), quoted, await self._recent(quoted, _person(body)))
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._workspace.client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except SDK_ERRORS as error:
            log.info("slack.modal_not_opened", reason=Failure.of(error).reason)

    async def submitted(self, body: Payload) -> dict[str, Any]:
        """What the form is acknowledged with: nothing, or why it stays open."""
        given = submitted(body.get("view") or {})
        if given is None:
            return _refused(NOT_OURS)
        person, quoted = _person(body), given.quoted
        channel = await self._direct(person) if given.channel == DIRECT else given.channel
        if not channel:
            return _refused(NOT_DONE)
        text = escaped(given.text)
        if given.shortcut == "ask_about":
            text = question(text, quoted, await self._link(quoted))
        place = Address("slack", self._workspace.me.team, channel, given.thread)
        refusal = await self._take(Question(place, person, text, quoted.files, given.view))
        return _refused(refusal) if refusal else {}

    async def _direct(self, person: Person) -> str:
        """Their direct message with the app; "" where there can be none."""
        try:
            answer = await self._workspace.client.conversations_open(users=person.id)
            return str(required(answer, "channel")["id"])
        except SDK_ERRORS as error:
            log.info("slack.no_direct_message", reason=Failure.of(error).reason)
            return ""

    async def _recent(self, quoted: Quoted, person: Person) -> Mapping[Address, str]:
        """None while the database is away: a form can't wait for it."""
        try:
            async with asyncio.timeout(RECENT_WITHIN):
                place = Address("slack", self._workspace.me.team, quoted.channel, quoted.root)
                return await self._asking.recent(place, person)
        except Exception as error:
            log.info("slack.no_recent_threads", error=type(error).__name__)
            return {}

    async def _link(self, quoted: Quoted) -> str:
        """Of a message where this app isn't, there is none."""
        try:
            async with asyncio.timeout(LINK_WITHIN):
                found = await self._workspace.client.chat_getPermalink(
                    channel=quoted.channel, message_ts=quoted.ts
                )
        except SDK_ERRORS as error:
            log.info("slack.no_link", reason=Failure.of(error).reason)
            return ""
        return str(found.get("permalink") or "")


def _person(body: Payload) -> Person:
    user: Payload = body.get("user") or {}
    return Person(str(user["id"]), workspace=str(user.get("team_id") or ""))


def _refused(sentence: str) -> dict[str, Any]:
    return {"response_action": "errors", "errors": {TEXT: sentence}}
