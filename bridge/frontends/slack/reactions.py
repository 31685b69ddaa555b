"""Reactions of people with which they ask about a message: read it, and it is a question like others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from bridge.frontends.common.asking import Asking
from bridge.frontends.common.told import Told
from bridge.frontends.slack.client import REPLIES
from bridge.frontends.slack.content import Payload, words
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.reading import SLACKBOT, Me, address_of, attached, listening_in
from bridge.frontends.slack.telling import tell
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Inbound, Person, position
from bridge.render.slack import SLACK
from bridge.turns.inbox import Inbox, NotAllowed
from bridge.turns.surface import Gone

log = structlog.get_logger()

READ_WITHIN = 1.5  # seconds: Slack wants events acknowledged within 3
NEARBY = 5  # messages: Slack may give a thread's root along with the one that is asked for
ABOUT = "Please look at this message of {author}:"


@dataclass(frozen=True, slots=True)
class Reacted:
    """Somebody asks by a reaction."""

    channel: str
    ts: str  # of the message that it is on
    person: Person
    position: int

    @classmethod
    def of(cls, body: Payload, emoji: str, me: Me) -> Reacted | None:
        """None for any other event, for other reactions and for those on what we wrote ourselves."""
        event: Payload = body.get("event") or {}
        item: Payload = event.get("item") or {}
        if not emoji or event.get("type") != "reaction_added" or item.get("type") != "message":
            return None
        user = str(event.get("user") or "")
        name = str(event.get("reaction") or "").partition("::")[0]  # without the tone of a skin
        if name != emoji or user in ("", me.user, SLACKBOT) or event.get("item_user") == me.user:
            return None
        at = position(str(event.get("event_ts") or item["ts"]))
        return cls(str(item["channel"]), str(item["ts"]), Person(user), at)


class AskedByReaction:
    """On one workspace and for one inbox."""

    def __init__(self, inbox: Inbox, asking: Asking, workspace: Workspace, told: Told) -> None:
        self._inbox = inbox
        self._asking = asking
        self._workspace = workspace
        self._told = told

    async def take(self, reacted: Reacted) -> None:
        """Returns once it is stored. Raises where the message can't be read now, so that Slack tells it again."""
        message = await self._message(reacted)
        if message is None or self._workspace.me.wrote(message):
            return
        root = message.get("thread_ts")
        me, channel = self._workspace.me, reacted.channel
        listening = listening_in(channel, me, self._workspace.listening_at)
        address = address_of(channel, reacted.ts, root, me, listening)
        in_thread = root is not None and root != reacted.ts
        known = await self._inbox.knows(address)
        inbound = Inbound(
            address=address,
            event_id=f"reaction:{reacted.channel}:{reacted.ts}:{reacted.person.id}",
            message_id=reacted.ts,
            position=reacted.position,
            person=reacted.person,
            text=_about(message),
            files=attached(message),
            direct=reacted.channel.startswith("D"),
            mid_thread=in_thread and not known,
            asked_with=f"reaction:{reacted.person.id}",
        )
        try:
            new = await self._asking.take(inbound)
            log.info("slack.asked_by_reaction", channel=reacted.channel, message=reacted.ts, new=new)
        except NotAllowed as refusal:
            if self._told.is_due(reacted.person, refusal):
                await tell(self._workspace, address, reacted.person, refusal.sentence, in_thread=in_thread)

    async def _message(self, reacted: Reacted) -> Payload | None:
        try:
            async with asyncio.timeout(READ_WITHIN):
                answer = await self._workspace.client.conversations_replies(
                    channel=reacted.channel,
                    ts=reacted.ts,
                    oldest=reacted.ts,
                    latest=reacted.ts,
                    inclusive=True,
                    limit=NEARBY,
                )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.kind is Gone or failure.refused:
                log.info("slack.reaction_on_nothing", channel=reacted.channel, reason=failure.reason)
                return None
            raise failure.surface_error(REPLIES) from error
        found: list[Payload] = answer.get("messages") or []
        return next((one for one in found if one.get("ts") == reacted.ts), None)


def _about(message: Payload) -> str:
    """The question, as Slack would write it."""
    bot = message.get("username") or (message.get("bot_profile") or {}).get("name") or "a bot"
    author = f"<@{message['user']}>" if message.get("user") else SLACK.escape(str(bot))
    quoted = "\n".join(f"&gt; {line}" for line in words(message).splitlines())
    return f"{ABOUT.format(author=author)}\n\n{quoted}".rstrip()
