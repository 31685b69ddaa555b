"""The app's slash command, and commands by mention in a thread: carried out, and answered to whoever gave them.

Slack has its slash commands outside of threads only. There they concern the thread of that channel that the person
asked in last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from cachetools import LRUCache
from slack_bolt.async_app import AsyncAck

from adapters.text import safe_name
from bridge.commands import COMMANDS, Given, typed
from bridge.frontends.common.asking import Asking
from bridge.frontends.common.sizes import in_words
from bridge.frontends.slack import uploading
from bridge.frontends.slack.blocks import fallback, metadata, part_blocks
from bridge.frontends.slack.bringing import NOT_DONE, Bringing, rendered
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import NOT_IN_CHANNEL, SDK_ERRORS, Failure
from bridge.frontends.slack.files import is_slacks_own
from bridge.frontends.slack.reading import Heard, mentioned
from bridge.frontends.slack.workspace import Workspace, thread_ts
from bridge.inbound import Address, Inbound, Person, RemoteFile, position
from bridge.render.incoming import from_slack
from bridge.render.selection import NO_SELECTION, split
from bridge.render.slack import SLACK
from bridge.turns.inbox import Inbox, Listing, NotAllowed, Order
from bridge.turns.surface import PartKey, PartKind, SurfaceError

log = structlog.get_logger()

ANSWER_WITHIN = 2.0  # seconds: Slack gives up on a command after 3
PATIENCE = 5.0  # seconds that an answer may take to be sent
REMEMBERED = 10_000  # commands by mention, each of which Slack tells twice
MAX_QUOTED = 1_500  # characters of a question that is shown; the agent gets all of it

MAX_LISTED = 40  # files with a button each, of the 50 blocks that a message has
FILE_ACTION = "threadbridge-file:"  # of the buttons' action ids; the value is thread and name

BRINGING = "On its way: you get it in a direct message from me."
NO_FILE = "Choose a file."
NO_NAME = "Write the file's name behind it. `files` lists those there are."
NOT_HERE = "I can't write here. Invite me into this channel first, or write to me in a direct message."
NO_QUESTION = "Write your question behind it: `{command} ask How are sales?`"
ASKED = "Asked. The answer comes in the thread below your question."


@dataclass(frozen=True, slots=True)
class Question:
    """What a command asks. `address.thread` is "" where a thread of its own is opened."""

    address: Address
    person: Person
    text: str  # as Slack writes it
    files: tuple[RemoteFile, ...] = ()
    event_id: str = ""  # where Slack has one that comes again with a repetition


class Commands:
    """For one workspace and one inbox."""

    def __init__(self, inbox: Inbox, workspace: Workspace) -> None:
        self._inbox = inbox
        self._asking = Asking(inbox, workspace.who_is)
        self._workspace = workspace
        self._heard: MutableMapping[tuple[str, str], bool] = LRUCache(REMEMBERED)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def typed(self, ack: AsyncAck, body: Payload) -> None:
        """Acknowledged in time with the answer, or without one that then follows."""
        answering = self._follow(asyncio.create_task(self._slash(body), name="slack.command"))
        await asyncio.wait([answering], timeout=ANSWER_WITHIN)
        if answering.done():
            await ack(**answering.result())
            return
        await ack()
        self._follow(asyncio.create_task(self._answer_late(answering, str(body.get("response_url") or ""))))

    async def spoken(self, heard: Heard, given: Given) -> None:
        """By mention in a thread. Raises what the inbox raises, so that Slack delivers it again."""
        key = (heard.address.channel, heard.message_id)
        if key in self._heard:
            return
        if given.command.name == "help":
            answer = self._help()
        elif given.command.name == "upload":
            refusal = await self._asking.not_allowed(heard.address, heard.person)
            answer = _private(refusal) if refusal else uploading.button(heard.address.thread)
        else:
            answer = await self._answer(_order(given, heard.person, heard.address))
        self._heard[key] = True
        await self._tell(heard.address, heard.person, answer)

    def list_files(self, address: Address, person: Person) -> None:
        """Begin to show a person the files of a thread's conversation."""
        self._follow(asyncio.create_task(self._list_files(Order("files", person, address)), name="slack.files"))

    async def _list_files(self, order: Order) -> None:
        try:
            answer = await self._answer(order)
        except Exception as error:
            log.error("slack.command_failed", error=type(error).__name__)
            answer = _private(NOT_DONE)
        await self._tell(order.address, order.person, answer)

    async def _tell(self, address: Address, person: Person, answer: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._workspace.client.chat_postEphemeral(
                    channel=address.channel, thread_ts=thread_ts(address), user=person.id, **answer
                )
        except SDK_ERRORS as error:
            log.info("slack.answer_lost", reason=Failure.of(error).reason)

    async def _slash(self, body: Payload) -> dict[str, Any]:
        """The message that answers a slash command."""
        given = typed(str(body.get("text") or ""))
        try:
            if isinstance(given, str):
                return self._help(f"I don't know {fallback(f'`{given[:50]}`')}. ")
            match given.command.name:
                case "help":
                    return self._help()
                case "ask":
                    return _private(await self._ask(body, given.argument))
                case "upload":
                    return await self._open_modal(body, given.argument)
                case _:
                    return await self._answer(_order(given, _person(body), self._place(body)))
        except Exception as error:
            log.error("slack.command_failed", error=type(error).__name__)
            return _private(NOT_DONE)

    def pressed(self, body: Payload) -> bool:
        """A press of a button in a list of files: the file is on its way then. False if it is another's button."""
        action: Payload = (body.get("actions") or [{}])[0]
        if not str(action.get("action_id", "")).startswith(FILE_ACTION):
            return False
        thread, _, name = str(action.get("value", "")).partition(":")
        channel = str((body.get("channel") or {}).get("id") or "")
        user: Payload = body.get("user") or {}
        if channel and thread and user.get("id"):
            person = Person(str(user["id"]), workspace=str(user.get("team_id") or ""))
            address = Address("slack", self._workspace.me.team, channel, thread)
            self.bring(Order("download", person, address, name))
        return True

    async def _answer(self, order: Order) -> dict[str, Any]:
        """What an order came to. Raises what the inbox raises."""
        match order.name:
            case "files":
                return _file_list(await self._asking.files(order), self._workspace.settings.command)
            case "download" if not order.argument:
                return _private(NO_NAME)
            case "download":
                self.bring(order)
                return _private(BRINGING)
            case _:
                return _private(await self._asking.ordered(order))

    def bring(self, order: Order) -> None:
        """Begin to bring a file of a conversation into the person's direct message."""
        bringing = Bringing(self._asking, self._workspace, order)
        self._follow(asyncio.create_task(bringing.run(), name="slack.download"))

    async def _ask(self, body: Payload, text: str) -> str:
        if not text:
            return NO_QUESTION.format(command=self._workspace.settings.command)
        question = Question(self._place(body), _person(body), text)
        return await self.take(question) or ASKED

    async def ask_in(self, thread: Address, person: Person, text: str, event: str) -> str:
        """Ask in a thread what a person chose there, under an id of the choice. What to tell them where it can't be; ""
        if it is asked. Raises what the inbox raises."""
        return await self.take(Question(thread, person, escaped(text), event_id=event))

    async def take(self, question: Question) -> str:
        """The question is shown for all; where it has no thread yet, that of its answer hangs on it. What to tell the
        person where it can't be; "" if it is asked."""
        person, place = question.person, question.address
        if refusal := await self._asking.not_allowed(place, person):
            return refusal
        if question.files and (refusal := await self._inbox.refusal(place, question.files)):
            return refusal
        client = self._workspace.client
        names = await self._workspace.people.names(client, {person.id, *mentioned(question.text)})
        shown = _quoted(names[person.id], from_slack(question.text, names.get), question.files)
        event = question.event_id or f"{person.id}:{time.time_ns()}"
        try:
            sent = await client.chat_postMessage(
                channel=place.channel,
                thread_ts=thread_ts(place) or None,
                text=fallback(shown),
                blocks=part_blocks(shown, ()),
                metadata=metadata(PartKey(event, PartKind.NOTICE)),  # so that it isn't taken for a part of a reply
                unfurl_links=False,
                unfurl_media=False,
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            log.info("slack.question_not_shown", reason=failure.reason)
            return NOT_HERE if failure.code in NOT_IN_CHANNEL or failure.place_is_gone else NOT_DONE
        ts = str(sent["ts"])
        inbound = Inbound(
            address=place if place.thread else self._workspace.begun_by(place.channel, ts),
            event_id=event,
            message_id=ts,
            position=position(ts),
            person=person,
            text=question.text,
            files=question.files,
            direct=place.channel.startswith("D"),
        )
        try:
            await self._asking.take(inbound)
        except NotAllowed as refused:  # a budget was used up just now
            with suppress(*SDK_ERRORS):
                await client.chat_delete(channel=place.channel, ts=ts)
            return refused.sentence
        return ""

    # --- files in ---------------------------------------------------------------------------------------------

    async def _open_modal(self, body: Payload, text: str) -> dict[str, Any]:
        """By slash: nothing is answered where the modal opens."""
        place, person = self._place(body), _person(body)
        if refusal := await self._asking.not_allowed(place, person):
            return _private(refusal)
        recent = await self._asking.recent(place, person)
        view = uploading.modal(place.channel, uploading.NEW, text, recent)
        try:
            await self._workspace.client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except SDK_ERRORS as error:
            log.info("slack.modal_not_opened", reason=Failure.of(error).reason)
            return _private(NOT_DONE)
        return {}

    async def open_pressed(self, body: Payload) -> bool:
        """A press of the button that opens the modal for one thread. False if it is another's button."""
        action: Payload = (body.get("actions") or [{}])[0]
        if action.get("action_id") != uploading.UPLOAD:
            return False
        channel, thread = str((body.get("channel") or {}).get("id") or ""), str(action.get("value") or "")
        view = uploading.modal(channel, thread, "", {})
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._workspace.client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except SDK_ERRORS as error:
            log.info("slack.modal_not_opened", reason=Failure.of(error).reason)
        return True

    async def submitted(self, body: Payload) -> dict[str, Any]:
        """What a submitted modal is acknowledged with: nothing, or why it stays open."""
        given, user = uploading.submitted(body.get("view") or {}), body.get("user") or {}
        place = Address("slack", self._workspace.me.team, given.channel, given.thread)
        refusal = "" if given.files else NO_FILE
        if not refusal:
            person = Person(str(user["id"]), workspace=str(user.get("team_id") or ""))
            refusal = await self.take(Question(place, person, escaped(given.text), given.files, given.view))
        return {"response_action": "errors", "errors": {uploading.FILES: refusal}} if refusal else {}

    def _place(self, body: Payload) -> Address:
        return Address("slack", self._workspace.me.team, str(body["channel_id"]), "")

    def _help(self, before: str = "") -> dict[str, Any]:
        command = self._workspace.settings.command
        lines = [f"`{command} {one.usage}`  {one.help}." for one in COMMANDS]
        how = (
            f"{before}Write to me in a direct message, or mention <@{self._workspace.me.user}> in a channel."
            " In the thread of my answer just go on writing. Files may come along."
        )
        spoken = (
            "A command acts on the thread that you asked in last in that channel. In a thread, mention me with"
            f" the command alone: <@{self._workspace.me.user}> stop."
        )
        return {"text": "\n".join([how, "", *lines, "", spoken])}

    async def _answer_late(self, answering: asyncio.Task[dict[str, Any]], response_url: str) -> None:
        message = {"response_type": "ephemeral", **await answering}
        if not is_slacks_own(response_url, self._workspace.settings):
            log.info("slack.answer_lost", reason="the address for the answer isn't Slack's")
            return
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._workspace.client.transfer("POST", response_url, json=message) as answer,
            ):
                if answer.status != 200:
                    log.info("slack.answer_lost", reason=f"HTTP {answer.status}")
        except (SurfaceError, TimeoutError) as error:
            log.info("slack.answer_lost", reason=str(error))

    def _follow(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


def _file_list(listing: Listing, command: str) -> dict[str, Any]:
    """A line for each file, with a button."""
    if not listing.files:
        return _private(listing.sentence)
    shown = listing.files[-MAX_LISTED:]
    blocks: list[dict[str, Any]] = [
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": fallback(f"`{_plain(one.name)}` {in_words(one.size)}".rstrip())},
            "accessory": {
                "type": "button",
                "action_id": f"{FILE_ACTION}{index}",
                "text": {"type": "plain_text", "text": "Get it"},
                "value": f"{listing.address.thread}:{one.name}",
            },
        }
        for index, one in enumerate(shown)
    ]
    more = len(listing.files) - len(shown)
    if more:
        rest = f"{more} older ones: `{command} download NAME`"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": rest}]})
    return {"text": f"Files: {len(listing.files)}", "blocks": blocks}


def _order(given: Given, person: Person, address: Address) -> Order:
    """Whatever is said of columns and rows is none of a file's name."""
    argument, selection = split(given.argument) if given.command.more else (given.argument, NO_SELECTION)
    return Order(given.command.name, person, address, argument, selection)


def _plain(name: str) -> str:
    return name.replace("`", "'")


def _person(body: Payload) -> Person:
    return Person(str(body["user_id"]), workspace=str(body.get("team_id") or ""))


def _private(markdown: str) -> dict[str, Any]:
    shown = rendered(markdown)
    return {"text": fallback(shown), "blocks": part_blocks(shown, ())}


def escaped(text: str) -> str:
    """What a person typed into an input, as it would be in a message."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(name: str, question: str, files: Sequence[RemoteFile]) -> str:
    shown = question if len(question) <= MAX_QUOTED else f"{question[:MAX_QUOTED].rstrip()}…"
    lines = "\n".join(f"> {line}" for line in shown.splitlines())
    names = ", ".join(f"`{_plain(safe_name(file.name))}`" for file in files)
    does = f"**{SLACK.escape(name)} {'sends' if files else 'asks'}:** {names}".rstrip()
    return rendered(f"{does}\n\n{lines}" if lines else does)
