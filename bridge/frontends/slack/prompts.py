"""What people are offered to ask: an agent's prompts at the top of its direct message, and, below a reply, what the
agent suggests next.

Slack shows prompts above the composer of the direct message, where each message begins a thread. What goes on with a
reply would lose its conversation there; so that has buttons in the thread, which only the person sees who asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog
from cachetools import LRUCache, TTLCache

from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.files import is_slacks_own
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.prompts import MAX_MESSAGE, MAX_PROMPTS, Prompt, shortened
from bridge.render.slack import SLACK
from bridge.turns.surface import SurfaceError

log = structlog.get_logger()

METHOD = "assistant.threads.setSuggestedPrompts"
SCOPE = "assistant:write"
PATIENCE = 5.0  # seconds
SHOWN_FOR = 60.0  # seconds: who goes back and forth between tabs is offered them once
REMEMBERED = 10_000  # direct messages, and suggestions that were chosen

SUGGESTED = "threadbridge-suggested:"  # of the buttons' action ids; the value is thread and question
FOLLOW_UPS = "You may want to go on with:"
MAX_LABEL = 75  # characters of a button's text, Slack's limit
NOT_ASKED = "That couldn't be asked. Please write it here yourself."

PromptsAt = Callable[[Address], Sequence[Prompt]]
# Asks what a person chose, under an id of the choice; what to tell them where it can't be, "" if it is asked.
Ask = Callable[[Address, Person, str, str], Awaitable[str]]


class Prompts:
    """In the direct messages of one workspace."""

    def __init__(
        self, workspace: Workspace, prompts_at: PromptsAt, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._workspace = workspace
        self._prompts_at = prompts_at
        self._shown: MutableMapping[str, bool] = TTLCache(REMEMBERED, SHOWN_FOR, clock)

    async def show(self, channel: str) -> None:
        """A person opened this direct message. Never raises what Slack raises."""
        workspace = self._workspace
        prompts = self._prompts_at(Address("slack", workspace.me.team, channel, ""))[:MAX_PROMPTS]
        refused = workspace.lacks(SCOPE) or workspace.refusals.has(METHOD, channel)
        if not prompts or refused or channel in self._shown:
            return
        self._shown[channel] = True
        try:
            async with asyncio.timeout(PATIENCE):
                # No thread: Slack drops the call of an agent's app that names one, and says that all is well.
                await workspace.client.assistant_threads_setSuggestedPrompts(
                    channel_id=channel,
                    title=workspace.settings.prompts_title or None,
                    prompts=[{"title": SLACK.escape(one.title), "message": one.message} for one in prompts],
                )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            workspace.refusals.learn(failure, METHOD, channel)
            log.info("slack.prompts_not_shown", reason=failure.reason)


def suggestion_blocks(thread: str, suggestions: Sequence[str]) -> list[dict[str, Any]]:
    """A button for each; [] where none can be shown."""
    asked = [text for one in suggestions if (text := one.strip()) and len(text) <= MAX_MESSAGE]
    buttons = [
        {
            "type": "button",
            "action_id": f"{SUGGESTED}{index}",
            "text": {"type": "plain_text", "text": shortened(SLACK.escape(text), MAX_LABEL), "emoji": False},
            "value": f"{thread}:{text}",
        }
        for index, text in enumerate(dict.fromkeys(asked))
    ][:MAX_PROMPTS]
    if not buttons:
        return []
    line = {"type": "context", "elements": [{"type": "plain_text", "text": FOLLOW_UPS}]}
    return [line, {"type": "actions", "elements": buttons}]


class Suggestions:
    """What becomes of a press of such a button: it is asked in its thread, once, and the buttons go."""

    def __init__(self, workspace: Workspace, ask: Ask) -> None:
        self._workspace = workspace
        self._ask = ask
        self._chosen: MutableMapping[tuple[str, str], bool] = LRUCache(REMEMBERED)
        self._under_way: set[asyncio.Task[None]] = set()

    def pressed(self, body: Payload) -> bool:
        """False if it is another's button."""
        action: Payload = (body.get("actions") or [{}])[0]
        if not str(action.get("action_id", "")).startswith(SUGGESTED):
            return False
        thread, _, text = str(action.get("value", "")).partition(":")
        channel, user = str((body.get("channel") or {}).get("id") or ""), body.get("user") or {}
        offered = (channel, str((body.get("container") or {}).get("message_ts") or ""))
        if channel and thread and text and user.get("id") and offered not in self._chosen:
            self._chosen[offered] = True
            place = Address("slack", self._workspace.me.team, channel, thread)
            person = Person(str(user["id"]), workspace=str(user.get("team_id") or ""))
            event = f"suggested:{':'.join(offered)}"
            task = asyncio.create_task(
                self._go_on(place, person, text, event, str(body.get("response_url") or "")),
                name="slack.suggested",
            )
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return True

    async def _go_on(self, place: Address, person: Person, text: str, event: str, response_url: str) -> None:
        try:
            refusal = await self._ask(place, person, text, event)
        except Exception as error:
            log.error("slack.suggestion_not_asked", error=type(error).__name__)
            refusal = NOT_ASKED
        if not is_slacks_own(response_url, self._workspace.settings):
            log.info("slack.buttons_stay", reason="the address for the answer isn't Slack's")
            return
        body: Payload = {"replace_original": True, "text": refusal} if refusal else {"delete_original": True}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._workspace.client.transfer("POST", response_url, json=body) as answer,
            ):
                if answer.status != 200:
                    log.info("slack.buttons_stay", reason=f"HTTP {answer.status}")
        except (SurfaceError, TimeoutError) as error:
            log.info("slack.buttons_stay", reason=str(error))
