"""The people's side: what a person does in Slack. Used by tests and by the playground's page.

A person is named by id or name (`"ada"`), a channel by id or name (`"general"`). Texts are as Slack sends
them: mentions as `<@U…>`, and `&`, `<` and `>` escaped; `typed` makes that of what a person types.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bridge.playground.slack import forms, shapes
from bridge.playground.slack.checks import elements
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.values import Change, Channel, Json, Message, Person, StoredFile, View
from bridge.playground.slack.workspace import Workspace

TRIGGER_SECONDS = 3.0  # a trigger_id's life
MAX_INPUT_FILE = 10 * 1024 * 1024  # bytes of a file in a modal's file input
KEPT_TRIGGERS = 60.0  # seconds until a used-up trigger_id is forgotten
RESPONSE_USES, RESPONSE_SECONDS = 5, 1_800.0  # of a response URL (documented)
KEPT_ANSWERS = 1_000  # response URLs, and ephemeral messages

NamedFile = tuple[str, str, bytes]  # name, media type, content


class SlackWorld(Workspace):
    """A workspace with people who talk, click and type commands."""

    @property
    def mention(self) -> str:
        """What mentions the app in a message."""
        return f"<@{self.bot.id}>"

    def typed(self, text: str) -> str:
        """What Slack makes of typed text: `@name` becomes a mention, `&`, `<` and `>` are escaped."""
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        names = {person.name: person.id for person in self.people.values()}

        def link(found: re.Match[str]) -> str:
            user = names.get(found[1].lower())
            return f"<@{user}>" if user else found[0]

        return re.sub(r"(?<!\w)@(\w+)", link, escaped)

    # --- messages --------------------------------------------------------------------------------------------

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        thread_ts: str | None = None,
        files: Sequence[NamedFile] = (),
    ) -> str:
        """Write a message and return its ts. The event is on its way then, not yet acknowledged."""
        author, place = self.person(user), self.channel(channel)
        if thread_ts is not None and thread_ts not in place.messages:
            raise KeyError(thread_ts)
        stored = tuple(self.store(name, media_type, content, author.id) for name, media_type, content in files)
        return self.put(
            Message(
                place.id,
                self.new_ts(),
                author.id,
                text,
                thread_ts,
                subtype="file_share" if files else None,
                client_msg_id=None if author.is_bot else secrets.token_hex(16),
                bot_id=author.bot_id,
                app_id=author.app_id,
                files=stored,
            )
        ).ts

    async def speak(
        self,
        user: str,
        channel: str,
        content: bytes,
        seconds: float,
        thread_ts: str | None = None,
        *,
        text: str = "",
        media_type: str = "audio/mp4",
    ) -> str:
        """Record a clip and send it; its ts."""
        author, place = self.person(user), self.channel(channel)
        if thread_ts is not None and thread_ts not in place.messages:
            raise KeyError(thread_ts)
        file = self.store("audio_message.m4a", media_type, content, author.id)
        clip = self.keep_file(replace(file, clip_ms=round(seconds * 1_000)))
        message = Message(place.id, self.new_ts(), author.id, text, thread_ts, subtype="file_share", files=(clip,))
        return self.put(message).ts

    async def webhook(self, channel: str, text: str, *, username: str = "CI", thread_ts: str | None = None) -> str:
        """A message of an old integration, which has no user, only a name: subtype `bot_message`."""
        place = self.channel(channel)
        message = Message(place.id, self.new_ts(), "", text, thread_ts, subtype="bot_message")
        return self.put(replace(message, bot_id=self.new_id("B"), username=username)).ts

    async def alert(
        self,
        channel: str,
        *,
        blocks: Sequence[Json] = (),
        attachments: Sequence[Json] = (),
        username: str = "Alerts",
        bot_id: str = "",
        thread_ts: str | None = None,
    ) -> str:
        """What a monitoring service posts: blocks and attachments, and no text. `bot_id`: of its integration, the same
        each time; without one it is a new one's."""
        place = self.channel(channel)
        message = Message(place.id, self.new_ts(), "", "", thread_ts, subtype="bot_message", username=username)
        shown = replace(
            message, blocks=tuple(blocks), attachments=tuple(attachments), bot_id=bot_id or self.new_id("B")
        )
        return self.put(shown).ts

    async def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """Edit one's own message."""
        message = self._own(user, channel, ts)
        self.change(replace(message, text=text, edited_ts=self.new_ts(), edited_by=message.user))

    async def delete(self, user: str, channel: str, ts: str) -> None:
        """Delete one's own message."""
        self.remove(self._own(user, channel, ts))

    async def add_reaction(self, user: str, channel: str, ts: str, name: str) -> None:
        self.react(self.message(channel, ts), self.person(user).id, name)

    def store(self, name: str, media_type: str, content: bytes, user: str) -> StoredFile:
        """Put a file into the workspace, shared."""
        file = StoredFile(self.new_id("F"), name, name, media_type, content, user, self.seconds(), shared=True)
        return self.keep_file(file)

    def _own(self, user: str, channel: str, ts: str) -> Message:
        message = self.message(channel, ts)
        if message.user != self.person(user).id:
            raise PermissionError(f"{user} didn't write {ts}")
        return message

    # --- the agent's surface ---------------------------------------------------------------------------------

    async def open_home(self, user: str, tab: str = "messages") -> None:
        """Open the app's direct message (`messages`) or its home tab (`home`), which an app may not have."""
        channel = self.direct(user)
        if tab == "home" and not self.home_tab_enabled:
            return
        published = self.home_of(self.person(user).id) if tab == "home" else None
        event: Json = {
            "type": "app_home_opened",
            "user": self.person(user).id,
            "channel": channel.id,
            "tab": tab,
            "event_ts": self.new_ts(),
        }
        if published is not None:
            event["view"] = shapes.view_json(self, published)
        self.emit("app_home_opened", channel, event)

    async def use_prompt(self, user: str, title: str) -> str:
        """Choose one of the prompts above the composer of the direct message: its message is written there. `KeyError`
        if there is none of that title."""
        channel = self.direct(user)
        offered = self.prompts.get(channel.id)
        chosen = next((one for one in offered.prompts if one["title"] == title), None) if offered else None
        if chosen is None:
            raise KeyError(title)
        return await self.say(user, channel.id, self.typed(chosen["message"]))

    async def press_home(self, user: str, action_id: str) -> Json:
        """Press a button of the Home tab. `KeyError` if there is none of that id."""
        author = self.person(user)
        view = self.home_of(author.id)
        block, element = forms.find_element(view.body["blocks"] if view else (), action_id)
        payload = self._interaction("block_actions", author) | {
            "container": {"type": "view", "view_id": view.id if view else ""},
            "view": shapes.view_json(self, view) if view else {},
            "actions": [forms.pressed(block, element, None) | {"action_ts": self.new_ts()}],
        }
        return await self.deliveries.ask("interactive", payload)

    async def stop_session(self, user: str, channel: str, thread_ts: str) -> None:
        """Press the stop button that Slack shows while a session is `processing`: its streams end at once."""
        place = self.channel(channel)
        stopped = [
            message.ts
            for message in self.thread(place.id, thread_ts)
            if message.streaming == "in_progress" and message.user == self.bot.id
        ]
        for ts in stopped:
            self.streams_until.pop((place.id, ts), None)
            self.stopped_streams.add((place.id, ts))
            self.change(replace(place.messages[ts], streaming="completed"))
        event = {
            "type": "agent_session_stopped",
            "channel": place.id,
            "thread_ts": thread_ts,
            "user": self.person(user).id,
            "streaming_message_ts": stopped,
            "event_ts": self.new_ts(),
        }
        self.emit("agent_session_stopped", place, event)

    # --- clicks and commands: each waits for the app's acknowledgement and raises `NotAnswered` --------------

    async def command(self, user: str, channel: str, command: str, text: str = "") -> Json:
        """Type a slash command and return what the app acknowledged it with; a text is shown as Slack does."""
        author, place = self.person(user), self.channel(channel)
        payload = {
            "token": self.verification_token,
            "team_id": self.team_id,
            "team_domain": self.domain,
            "channel_id": place.id,
            "channel_name": "directmessage" if place.is_direct else place.name,
            "user_id": author.id,
            "user_name": author.name,
            "command": command,
            "text": text,
            "api_app_id": self.app_id,
            "is_enterprise_install": "true" if self.organisation else "false",
            **({"enterprise_id": self.organisation} if self.organisation else {}),
            "response_url": self.new_response_url(place, None, author.id),
            "trigger_id": self.new_trigger(author.id),
        }
        answer = await self.deliveries.ask("slash_commands", payload)
        if answer.get("text") or answer.get("blocks"):
            self.respond(place, None, author.id, answer)
        return answer

    async def press(
        self, user: str, ts: str, action_id: str, *, channel: str | None = None, value: str | None = None
    ) -> Json:
        """Press a button of a message, or choose `value` in its select menu or feedback buttons.

        `KeyError` if the message has no such element.
        """
        author = self.person(user)
        message = self._visible(ts, channel)
        block, element = forms.find_element(message.blocks, action_id)
        place = self.channels[message.channel]
        container: Json = {
            "type": "message",
            "message_ts": ts,
            "channel_id": place.id,
            "is_ephemeral": message.ephemeral_for is not None,
        }
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        payload = self._interaction("block_actions", author) | {
            "container": container,
            "channel": self._channel_ref(place),
            "state": {"values": {}},
            "response_url": self.new_response_url(place, message.thread_ts, author.id, ts),
            "actions": [forms.pressed(block, element, value) | {"action_ts": self.new_ts()}],
        }
        if message.ephemeral_for is None:
            payload["message"] = shapes.message_json(self, message)
        return await self.deliveries.ask("interactive", payload)

    async def shortcut(
        self, user: str, callback_id: str, *, channel: str | None = None, ts: str | None = None
    ) -> Json:
        """Use a message shortcut on a message, or a global one without `channel` and `ts`."""
        author = self.person(user)
        if channel is None or ts is None:
            payload = self._interaction("shortcut", author)
        else:
            message = self.message(channel, ts)
            place = self.channels[message.channel]
            payload = self._interaction("message_action", author) | {
                "channel": self._channel_ref(place),
                "message_ts": ts,
                "message": shapes.message_json(self, message),
                "response_url": self.new_response_url(place, message.thread_ts, author.id),
            }
        return await self.deliveries.ask(
            "interactive", payload | {"callback_id": callback_id, "action_ts": self.new_ts()}
        )

    def view_of(self, user: str) -> View | None:
        """The modal that a person sees."""
        owner = self.person(user).id
        open_views = [view for view in self.views.values() if view.user == owner and view.type == "modal"]
        return open_views[-1] if open_views else None

    async def view_submit(self, user: str, values: Mapping[str, Any]) -> Json:
        """Submit the modal that the person sees. `values` by block id or action id: a text, an option's
        value, a list of them, or for a file input a list of (name, media type, content).

        The modal closes unless the app answers with errors. Raises `ValueError` if a required input is empty.
        """
        author = self.person(user)
        view = self.view_of(user)
        if view is None:
            raise KeyError(f"{user} has no modal open")
        state = self._filled_in(view, values, author)
        shape = shapes.view_json(self, view) | {"state": {"values": state}}
        payload = self._interaction("view_submission", author) | {"view": shape, "response_urls": []}
        answer = await self.deliveries.ask("interactive", payload)
        match answer.get("response_action"):
            case None:
                self.close_view(view)
            case "clear":
                while (left := self.view_of(user)) is not None:
                    self.close_view(left)
            case "update":
                self.show_view(replace(view, body=answer["view"], hash=self.new_ts()))
            case "push":
                pushed = View(self.new_id("V"), author.id, "modal", self.new_ts(), answer["view"])
                self.show_view(replace(pushed, root=view.root, previous=view.id))
        return answer

    async def view_close(self, user: str) -> None:
        """Close the modal that the person sees."""
        view = self.view_of(user)
        if view is None:
            raise KeyError(f"{user} has no modal open")
        self.close_view(view)
        if view.body.get("notify_on_close"):
            payload = self._interaction("view_closed", self.person(user))
            shape = {"view": shapes.view_json(self, view), "is_cleared": False}
            await self.deliveries.ask("interactive", payload | shape)

    def _filled_in(self, view: View, values: Mapping[str, Any], author: Person) -> dict[str, Json]:
        state: dict[str, Json] = {}
        for block in view.body.get("blocks", []):
            if block["type"] != "input":
                continue
            element = block["element"]
            given = values.get(block["block_id"], values.get(element["action_id"]))
            if given is None and not block.get("optional") and not forms.has_initial(element):
                raise ValueError(f"{block['block_id']} is required")
            if element["type"] == "file_input":
                if len(given or ()) > int(element.get("max_files", 10)):
                    raise ValueError(f"{block['block_id']} takes at most {element.get('max_files', 10)} files")
                if any(len(content) > MAX_INPUT_FILE for _, _, content in given or ()):
                    raise ValueError(f"{block['block_id']} takes files of at most {MAX_INPUT_FILE} bytes")
                stored = [self.store(name, kind, content, author.id) for name, kind, content in given or ()]
                filled: Json = {"files": [shapes.file_json(self, file) for file in stored]}
            elif element["type"] == "plain_text_input" and len(given or "") > element.get("max_length", 3_000):
                raise ValueError(
                    f"{block['block_id']} takes at most {element.get('max_length', 3_000)} characters"
                )
            else:
                filled = forms.filled_in(element, given)
            state[block["block_id"]] = {element["action_id"]: {"type": element["type"], **filled}}
        return state

    # --- what commands and clicks leave behind ---------------------------------------------------------------

    def new_trigger(self, user: str) -> str:
        trigger = f"{secrets.token_hex(6)}.{self.team_id}"
        self.triggers = {
            key: life for key, life in self.triggers.items() if life[1] > self.clock() - KEPT_TRIGGERS
        }
        self.triggers[trigger] = (user, self.clock() + TRIGGER_SECONDS)
        return trigger

    def take_trigger(self, trigger: str) -> str:
        """The person behind a trigger_id, which is used up."""
        if trigger not in self.triggers:
            raise SlackError("invalid_trigger_id")
        user, until = self.triggers[trigger]
        if not user:
            raise SlackError("exchanged_trigger_id")
        if self.clock() > until:
            raise SlackError("expired_trigger_id")
        self.triggers[trigger] = ("", until)
        return user

    def new_response_url(self, channel: Channel, thread_ts: str | None, user: str, ts: str | None = None) -> str:
        key = secrets.token_hex(12)
        while len(self.responses) >= KEPT_ANSWERS:
            oldest = next(iter(self.responses))
            del self.responses[oldest]
            self.response_uses.pop(oldest, None)
        self.responses[key] = (channel.id, thread_ts, user)
        self.response_uses[key] = (self.clock() + RESPONSE_SECONDS, RESPONSE_USES)
        path = f"{self.base_url}/respond/{key}"
        return f"{path}/{ts}" if ts else path

    def respond(self, channel: Channel, thread_ts: str | None, user: str, answer: Json) -> Message:
        """Show what an app answered to a command or by a response_url."""
        private = answer.get("response_type", "ephemeral") == "ephemeral"
        message = Message(
            channel.id,
            self.new_ts(),
            self.bot.id,
            str(answer.get("text", "")),
            answer.get("thread_ts") or thread_ts,
            bot_id=self.bot.bot_id,
            app_id=self.app_id,
            blocks=self.named_blocks(answer.get("blocks", [])),
            ephemeral_for=user if private else None,
        )
        if not private:
            return self.put(message)
        return self.show_ephemeral(message)

    def show_ephemeral(self, message: Message) -> Message:
        while len(self.ephemerals) >= KEPT_ANSWERS:
            self.ephemerals.pop(next(iter(self.ephemerals)))
        self.ephemerals[message.ts] = message
        self.announce(Change("ephemeral", message.channel, message, user=message.ephemeral_for or ""))
        return message

    def hide_ephemeral(self, message: Message) -> None:
        del self.ephemerals[message.ts]
        self.announce(Change("deleted", message.channel, message, user=message.ephemeral_for or ""))

    def show_view(self, view: View) -> View:
        body = view.body | {"blocks": list(self.named_blocks(view.body.get("blocks", [])))}
        view = replace(view, body=body, root=view.root or view.id)
        self.views[view.id] = view
        self.announce(Change("home" if view.type == "home" else "view", view=view, user=view.user))
        return view

    def close_view(self, view: View) -> None:
        del self.views[view.id]
        self.announce(Change("view", user=view.user))

    def named_blocks(self, blocks: Sequence[Json]) -> tuple[Json, ...]:
        """The blocks with the ids that Slack gives to what has none."""
        named = []
        for block in blocks:
            block = {**block, "block_id": block.get("block_id") or secrets.token_hex(3)}
            for element in elements(block):
                element.setdefault("action_id", secrets.token_hex(3))
            named.append(block)
        return tuple(named)

    def _visible(self, ts: str, channel: str | None) -> Message:
        if ts in self.ephemerals:
            return self.ephemerals[ts]
        places = [self.channel(channel)] if channel else list(self.channels.values())
        for place in places:
            if ts in place.messages:
                return place.messages[ts]
        raise KeyError(ts)

    def _interaction(self, kind: str, author: Person) -> Json:
        return {
            "type": kind,
            "user": {
                "id": author.id,
                "username": author.name,
                "name": author.name,
                "team_id": author.team or self.team_id,
            },
            "api_app_id": self.app_id,
            "token": self.verification_token,
            "trigger_id": self.new_trigger(author.id),
            "team": {"id": self.team_id, "domain": self.domain},
            "enterprise": {"id": self.organisation, "name": "Organisation"} if self.organisation else None,
            "is_enterprise_install": bool(self.organisation),
        }

    def _channel_ref(self, channel: Channel) -> Json:
        return {"id": channel.id, "name": "directmessage" if channel.is_direct else channel.name}
