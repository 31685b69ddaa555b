"""The simulated Slack as the page shows it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.testing.backends.transcription import recording, spoken_seconds
from bridge.frontends.slack import about
from bridge.playground.page.commands import SlackCommands, is_command
from bridge.playground.page.data_blocks import KINDS, data_html
from bridge.playground.page.first_words import are_first_words
from bridge.playground.page.home import home_rows
from bridge.playground.page.markdown import to_html
from bridge.playground.page.previews import preview
from bridge.playground.page.reactions import ASKS, NAMES, reactions
from bridge.playground.page.rooms import DIRECT, OPENING, Room, Scene
from bridge.playground.page.tally import PartSeen, Replies, ReplyWatch
from bridge.playground.page.views import (
    AGAIN,
    ANSWERS,
    MAX_MESSAGES,
    NOTICE,
    REGENERATE,
    SUGGESTED,
    WORDS,
    ButtonView,
    CantDo,
    ChangeView,
    ChannelView,
    FileView,
    FormView,
    HomeRowView,
    MessageView,
    News,
    OpenedView,
    OptionView,
    PromptsView,
    ServerView,
    SignView,
    StepsView,
    StepView,
)
from bridge.playground.slack import Change, Channel, Message, NotAnswered, Session, SlackWorld, StoredFile
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.tasks import plan_block
from bridge.playground.slack.values import View
from bridge.render.incoming import from_slack

SHORTCUTS = {name: callback for callback, (name, _) in about.NAMES.items()}  # of messages, by what people read
FORM = re.compile(r"V[A-Z0-9]+")  # a form's id, and that of the question which was asked by it
_DATE = re.compile(r"<!date\^\d+\^[^|>]*\|([^>]*)>")
WORKING = "is working…"  # where the app gave no words of its own

THUMB = "="  # between a thumb's action and its value
THUMBS = {"positive_button": "👍", "negative_button": "👎"}


class SlackView:
    platform = "slack"

    def __init__(self, world: SlackWorld, me: str, rooms: Mapping[str, Room], default_agent: str) -> None:
        self._world = world
        self._me = world.person(me)
        self._rooms = rooms
        self._default_agent = default_agent
        self._direct = world.direct(me)
        self._watched = ReplyWatch()
        self._pressed: set[tuple[str, str]] = set()
        self.commands = SlackCommands(world, self._me, SHORTCUTS)
        self.written = 0
        self.repeated = 0

    def server(self) -> ServerView:
        messages = [message for channel in self._channels() for message in self._world.messages(channel.id)]
        messages += [one for one in self._world.ephemerals.values() if one.ephemeral_for == self._me.id]
        messages.sort(key=lambda message: message.ts)
        sessions = [self._world.session(*place) for place in self._world.sessions]
        return {
            "platform": self.platform,
            "name": self._world.name,
            "me": self._me.real_name,
            "opens": self._world.channel(OPENING.channel).id,
            "bot": self._world.bot.name,
            "app": self._world.bot.real_name,
            "channels": [self._channel(channel) for channel in self._channels()],
            "messages": [self._message(message) for message in messages[-MAX_MESSAGES:]],
            "signs": [sign for sign in map(_sign, sessions) if sign["label"] or "title" in sign],
            "home": self._home(),
            "offered": self._offered(),
        }

    async def changes(self) -> AsyncIterator[News]:
        watch = self._world.watch()
        try:
            async for change in watch:
                news = self._news(change)
                if news is not None:
                    yield news
        finally:
            watch.close()

    def _news(self, change: Change) -> News | None:
        def say(**view: Any) -> ChangeView:
            return {"platform": self.platform, **view}  # type: ignore[typeddict-item]

        message, session = change.message, change.session
        if change.kind == "lost":
            return News((self.platform, "server"), lambda: say(server=self.server()))
        if change.kind == "prompts" and change.channel == self._direct.id:
            return News((self.platform, "prompts"), lambda: say(offered=self._offered()))
        if change.kind == "home" and change.user == self._me.id:
            return News((self.platform, "home"), lambda: say(home=self._home()))
        if session is not None:
            key = (self.platform, "sign", session.channel, session.thread_ts)
            return News(key, lambda: say(sign=_sign(session)))
        if message is None or (change.kind == "ephemeral" and change.user != self._me.id):
            return None
        key = (self.platform, "message", message.channel, message.ts)
        if change.kind == "deleted":
            return News(key, lambda: say(deleted=message.ts))
        return News(key, lambda: say(message=self._message(message)))

    def replies(self, now: float) -> Replies:
        messages = [message for channel in self._world.channels.values() for message in channel.messages.values()]
        busy = {(message.channel, message.root) for message in messages if message.streaming == "in_progress"}
        busy |= {place for place in self._world.sessions if self._world.session(*place).status == "processing"}
        parts = (
            PartSeen((message.channel, message.root), *key, (message.edited_ts, message.shown))
            for message in messages
            if (key := _part_of(message)) is not None and not are_first_words(message.shown)
        )
        return self._watched.look(parts, busy, now)

    def _channels(self) -> list[Channel]:
        return [one for one in self._world.channels.values() if not one.is_direct or one is self._direct]

    def _channel(self, channel: Channel) -> ChannelView:
        room = DIRECT if channel.is_direct else self._rooms[channel.name]
        return {
            "id": channel.id,
            "name": self._world.bot.real_name if channel.is_direct else channel.name,
            "kind": "direct" if channel.is_direct else "channel",
            "parent": "",
            "agent": self._default_agent if channel.is_direct else room.agent or channel.name,
            "about": room.about,
            "prompts": list(room.prompts),
            "follow_ups": list(room.follow_ups),
            "free": room.free,
        }

    def _message(self, message: Message) -> MessageView:
        person = self._world.people.get(message.user)
        return {
            "id": message.ts,
            "channel": message.channel,
            "thread": message.root,
            "author": {
                "name": message.username or (person.real_name if person else "Someone"),
                "bot": person is None or person.is_bot,
            },
            "html": self._html(message),
            "at": float(message.ts),
            "files": [_file(file) for file in message.files],
            "steps": _steps(message),
            "buttons": [button for block in message.blocks for button in _buttons(block)],
            "reactions": reactions(message.reactions),
            "growing": message.streaming == "in_progress",
            "only_you": message.ephemeral_for is not None,
            "notice": (_part_of(message) or ("", ""))[1].startswith(NOTICE),
            "system": message.subtype == "tombstone",
        }

    def _offered(self) -> PromptsView:
        offered = self._world.prompts.get(self._direct.id)
        if offered is None:
            return {"title": "", "prompts": []}
        return {"title": offered.title, "prompts": [one["title"] for one in offered.prompts]}

    def _home(self) -> list[HomeRowView]:
        view = self._world.home_of(self._me.id)
        return home_rows(view.body["blocks"] if view else (), self._name_of, self._direct.id)

    def _html(self, message: Message) -> str:
        data = [block for block in message.blocks if block.get("type") in KINDS]
        if not data:
            return to_html(self._markdown(message))
        others = tuple(block for block in message.blocks if block not in data)
        words = self._markdown(replace(message, blocks=others)) if others or message.markdown else ""
        return to_html(words) + "".join(map(data_html, data))

    def _markdown(self, message: Message) -> str:
        """Streams and markdown blocks are standard Markdown already; all else is Slack's own."""
        if message.markdown or any(block.get("type") == "markdown" for block in message.blocks):
            return _DATE.sub(r"\1", message.shown)
        return from_slack(message.shown, self._name_of)

    def _name_of(self, reference: str) -> str | None:
        person, channel = self._world.people.get(reference), self._world.channels.get(reference)
        return person.real_name if person else channel.name if channel else None

    async def say(self, channel: str, thread: str, text: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        typed = self._world.typed(text)
        try:
            await self._world.say(self._me.id, channel, typed, thread or None, files)
        except KeyError:
            raise CantDo("That thread is no longer there.") from None
        self.written += self._is_for_bot(channel, thread, typed)

    async def speak(self, channel: str, thread: str, words: str) -> None:
        """A clip mentions nobody: where that is needed, a mention goes along."""
        called = self._is_for_bot(channel, thread, "") if thread else self._world.channel(channel).is_direct
        try:
            await self._world.speak(
                self._me.id,
                channel,
                recording(words, "m4a"),
                spoken_seconds(words),
                thread or None,
                text="" if called else self._world.mention,
            )
        except KeyError:
            raise CantDo("That thread is no longer there.") from None
        self.written += 1

    async def play(self, scene: Scene) -> None:
        await self._world.say(scene.person, scene.channel, self._world.typed(scene.text), None, scene.files)
        self.written += 1

    def _is_for_bot(self, channel: str, thread: str, typed: str) -> bool:
        if thread and is_command(typed, self._world.mention):
            return False
        if self._world.mention in typed or self._world.channel(channel).is_direct:
            return True
        called = any(
            message.user == self._world.bot.id or self._world.mention in message.text
            for message in self._world.thread(channel, thread)
        )
        return called and not typed.startswith("<@")

    async def press(self, message: str, button: str, value: str = "") -> OpenedView:
        before = self._world.view_of(self._me.id)
        action, _, chosen = button.partition(THUMB)
        try:
            await self._world.press(self._me.id, message, action, value=value or chosen or None)
        except (KeyError, ValueError):
            raise CantDo("That button is no longer there.") from None
        except NotAnswered:
            raise CantDo("The app didn't answer in time.") from None
        if (message, button) not in self._pressed:  # a second press has no effect
            self._pressed.add((message, button))
            self.repeated += AGAIN in button or (button.startswith(REGENERATE) and self._is_newest(message))
            self.written += any(one in button for one in (*ANSWERS, SUGGESTED))
        view = self._world.view_of(self._me.id)
        if view is None or view == before:
            return {"form": None, "dialog": None}
        form = _form(view)
        return {"form": form, "dialog": None if form else self.commands.dialog()}

    def _is_newest(self, ts: str) -> bool:
        """Whether nobody has asked since in the thread of an answer."""
        place = next((one for one in self._world.channels.values() if ts in one.messages), None)
        if place is None:
            return False
        thread = self._world.thread(place.id, place.messages[ts].root)
        return not any(one.ts > ts and one.user == self._me.id for one in thread)

    async def react(self, message: str, emoji: str) -> None:
        place = next((one for one in self._world.channels.values() if message in one.messages), None)
        if place is None or emoji not in NAMES:
            raise CantDo("There is nothing to react to.")
        found = place.messages[message]
        try:
            await self._world.add_reaction(self._me.id, place.id, message, NAMES[emoji])
        except SlackError:
            raise CantDo("You reacted so already.") from None
        self.written += emoji == ASKS and found.user != self._world.bot.id

    async def fill_in(self, form: str, words: str) -> None:
        view = self._world.view_of(self._me.id)
        if view is None or view.id != form:
            raise CantDo("That form is no longer open.")
        [block] = view.body["blocks"]
        try:
            answer = await self._world.view_submit(self._me.id, {block["block_id"]: words or None})
        except ValueError as error:
            raise CantDo(f"Slack doesn't take that: {error}.") from None
        except NotAnswered:
            raise CantDo("The app didn't answer in time.") from None
        if errors := answer.get("errors"):
            raise CantDo(" ".join(errors.values()))
        self.written += f'"{WORDS}"' not in str(view.body.get("private_metadata") or "")

    async def stop(self, channel: str, thread: str) -> None:
        if self._world.session(channel, thread).status != "processing":
            raise CantDo("There is nothing to stop any more.")
        await self._world.stop_session(self._me.id, channel, thread)

    async def open(self, tab: str) -> None:
        await self._world.open_home(self._me.id, tab)

    async def press_home(self, button: str) -> None:
        try:
            await self._world.press_home(self._me.id, button)
        except KeyError:
            raise CantDo("That button is no longer there.") from None
        except NotAnswered:
            raise CantDo("The app didn't answer in time.") from None

    async def use_prompt(self, title: str) -> None:
        try:
            await self._world.use_prompt(self._me.id, title)
        except KeyError:
            raise CantDo("That is no longer offered.") from None
        self.written += 1

    def file(self, file_id: str) -> tuple[str, str, bytes]:
        file = self._world.files[file_id]
        return file.name, file.media_type, file.content


def _steps(message: Message) -> StepsView | None:
    """The plan of a message, whether a stream made it or it came as a block."""
    streamed = plan_block(message.tasks)
    plan = streamed or next((block for block in message.blocks if block.get("type") == "plan"), None)
    if plan is None:
        return None
    return {"title": plan["title"], "steps": [_step(card) for card in plan.get("tasks", [])]}


def _step(card: Mapping[str, Any]) -> StepView:
    return {
        "title": card["title"],
        "status": card.get("status", "pending"),
        "details": _said(card.get("details")),
        "output": _said(card.get("output")),
        "sources": [{"text": one["text"], "url": one["url"]} for one in card.get("sources", ())],
    }


def _said(rich_text: Mapping[str, Any] | None) -> str:
    sections = (rich_text or {}).get("elements", ())
    return " ".join(str(one.get("text", "")) for section in sections for one in section.get("elements", ()))


def _part_of(message: Message) -> tuple[str, str] | None:
    """The turn and the part that a message of the bridge says it is; a stream says so once it has ended. A question
    that it shows for a person, who chose it, typed it as a command or filled in a form, is none."""
    payload = dict((message.metadata or {}).get("event_payload") or {})
    turn = str(payload.pop("turn", ""))
    if not turn or ":" in turn or FORM.fullmatch(turn):
        return None
    return turn, "".join(map(str, payload.values()))


def _sign(session: Session) -> SignView:
    working = session.status == "processing"
    sign: SignView = {
        "channel": session.channel,
        "thread": session.thread_ts,
        "label": session.label or (WORKING if working else ""),
        "stoppable": working,
    }
    if session.label and session.loading_messages:
        sign["loading"] = list(session.loading_messages)
    if session.title:
        sign["title"] = session.title
    return sign


def _file(file: StoredFile) -> FileView:
    return {
        "name": file.name,
        "size": len(file.content),
        "url": f"file/slack/{file.id}",
        "preview": preview(file.name, file.media_type, file.content),
    }


def _buttons(block: Mapping[str, Any]) -> Iterator[ButtonView]:
    beside = block.get("accessory") or {}
    if beside.get("type") == "button":  # of a line of a list: named by what stands there in code
        name = block["text"]["text"].partition("`")[2].partition("`")[0]
        yield {"id": beside["action_id"], "label": f"{beside['text']['text']}: {name}"}
    if block.get("type") in ("actions", "context_actions"):
        for element in block["elements"]:
            if element["type"] == "button":
                shown: ButtonView = {"id": element["action_id"], "label": element["text"]["text"]}
                if "style" in element:
                    shown["style"] = element["style"]
                yield shown
            elif element["type"] == "feedback_buttons":
                for name, picture in THUMBS.items():
                    thumb = element[name]
                    yield {
                        "id": f"{element['action_id']}{THUMB}{thumb['value']}",
                        "label": picture,
                        "title": thumb["text"]["text"],
                    }
            elif element["type"] == "static_select":
                options: list[OptionView] = [
                    {"label": one["text"]["text"], "value": one["value"]} for one in element["options"]
                ]
                label = (element.get("placeholder") or {}).get("text", "Choose…")
                yield {"id": element["action_id"], "label": label, "options": options}


def _form(view: View) -> FormView | None:
    """None for one that isn't a single text input."""
    blocks = view.body["blocks"]
    if len(blocks) != 1 or blocks[0].get("element", {}).get("type") != "plain_text_input":
        return None
    return {
        "id": view.id,
        "title": view.body["title"]["text"],
        "send": view.body["submit"]["text"],
        "label": blocks[0]["label"]["text"],
        "optional": bool(blocks[0].get("optional")),
    }
