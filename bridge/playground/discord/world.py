"""The people's side: what a person does in Discord. Used by tests and by the playground's page.

A person is named by id or name (`"ada"`), a channel by id or name (`"general"`); ids may be written as text.
Texts are as Discord sends them, mentions as `<@id>`; `typed` makes that of what a person types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bridge.playground.discord import commands, components, membership, modals, people, posting, threads
from bridge.playground.discord.files import MAX_FILES
from bridge.playground.discord.forms import Draft
from bridge.playground.discord.invocations import Interaction, InteractionType
from bridge.playground.discord.modals import NamedFile
from bridge.playground.discord.model import (
    Attachment,
    Channel,
    ChannelType,
    Json,
    Message,
    MessageFlag,
    Upload,
    User,
)
from bridge.playground.discord.payloads import file_limit_in
from bridge.playground.discord.polls import Poll
from bridge.playground.discord.scene import Ref, Scene

MAX_TYPED = 4000  # characters a person can write with Nitro; 2000 without


class DiscordWorld(Scene):
    """A Discord with people who talk, click and use commands; for its settings see `Scene`."""

    # --- messages --------------------------------------------------------------------------------------------

    async def say(
        self,
        user: Ref,
        channel: Ref,
        text: str = "",
        files: Sequence[NamedFile] = (),
        reply_to: int | None = None,
        *,
        embeds: Sequence[Json] = (),
        poll: Poll | None = None,
    ) -> int:
        """Write a message and return its id. A reply notifies the author of what it replies to. Embeds are other
        bots' to send. Raises PermissionError in a locked thread."""
        author, place = self.person(user), self.place(channel)
        if place.type is ChannelType.FORUM:
            raise ValueError("a forum takes posts, not messages")
        if reply_to is not None and reply_to not in place.messages:
            raise KeyError(reply_to)
        self._open_for(author, place)
        draft = self._draft(place, text, files, reply_to, more=bool(embeds or poll))
        draft.embeds = list(embeds)
        draft.poll = poll.as_json() if poll else None
        message = posting.compose(self, place, author, draft)
        posting.add_message(self, place, message)
        return message.id

    async def speak(self, user: Ref, channel: Ref, content: bytes, seconds: float) -> int:
        """Record a voice message and send it: it has no words, and one attachment."""
        author, place = self.person(user), self.place(channel)
        self._open_for(author, place)
        recording = Upload("voice-message.ogg", "audio/ogg", content, seconds=seconds)
        draft = Draft(content="", uploads=[recording], flags=MessageFlag.IS_VOICE_MESSAGE)
        message = posting.compose(self, place, author, draft)
        posting.add_message(self, place, message)
        return message.id

    async def alert(
        self,
        channel: Ref,
        text: str = "",
        *,
        embeds: Sequence[Json] = (),
        name: str = "Alerts",
        webhook_id: int | None = None,
    ) -> int:
        """What a service posts by a webhook, whose user is of no server: often embeds alone."""
        place = self.place(channel)
        hook = self.take_id() if webhook_id is None else webhook_id
        draft = self._draft(place, text, (), None, more=bool(embeds))
        draft.embeds = list(embeds)
        message = posting.compose(self, place, User(hook, name, name, bot=True), draft)
        message.webhook_id = hook
        posting.add_message(self, place, message)
        return message.id

    async def edit(self, user: Ref, channel: Ref, message_id: int, text: str) -> None:
        """Edit one's own message. Raises ValueError if nothing would be left of it."""
        place, message = self._own(user, channel, message_id)
        if not text.strip() and not message.attachments:
            raise ValueError("a message needs text or a file")
        posting.apply_edit(self, place, message, Draft(content=text.strip()))

    async def delete(self, user: Ref, channel: Ref, message_id: int) -> None:
        """Delete one's own message."""
        posting.remove(self, *self._own(user, channel, message_id))

    async def react(self, user: Ref, channel: Ref, message_id: int, emoji: str) -> None:
        place = self.place(channel)
        posting.react(self, place, place.messages[message_id], self.person(user), emoji)

    async def unreact(self, user: Ref, channel: Ref, message_id: int, emoji: str) -> None:
        place = self.place(channel)
        posting.unreact(self, place, place.messages[message_id], self.person(user), emoji)

    async def type_in(self, user: Ref, channel: Ref) -> None:
        """Begin to type."""
        posting.type_in(self, self.place(channel), self.person(user))

    # --- threads ---------------------------------------------------------------------------------------------

    async def open_thread(
        self, user: Ref, channel: Ref, name: str, *, on: int | None = None, private: bool = False
    ) -> int:
        """Open a thread, below the message `on` or by itself, and return its id."""
        place, owner = self.place(channel), self.person(user)
        if on is not None:
            return threads.open_on_message(self, place, place.messages[on], owner, name).id
        return threads.open_alone(self, place, owner, name, private=private).id

    async def create_forum_post(
        self,
        user: Ref,
        forum: Ref,
        title: str,
        text: str,
        tags: Iterable[str] = (),
        files: Sequence[NamedFile] = (),
    ) -> int:
        """Write a post and return its id, which is that of its thread and of its first message."""
        place, author = self.place(forum), self.person(user)
        by_name = {tag.name: tag.id for tag in place.tags}
        first = posting.compose(self, place, author, self._draft(place, text, files))
        return threads.open_post(self, place, first, title, [by_name[tag] for tag in tags]).id

    async def rename_thread(self, user: Ref, thread: Ref, name: str) -> None:
        threads.rename(self, self.place(thread), self.person(user), name)

    async def archive(self, thread: Ref, *, archived: bool = True, locked: bool | None = None) -> None:
        """Close a thread or open it again, as a moderator."""
        membership.set_archived(self, self.place(thread), archived=archived, locked=locked)

    async def add_to_thread(self, thread: Ref, user: Ref) -> None:
        membership.join(self, self.place(thread), self.person(user).id)

    async def leave_thread(self, thread: Ref, user: Ref) -> None:
        membership.leave(self, self.place(thread), self.person(user).id)

    async def delete_channel(self, channel: Ref) -> None:
        """Delete a channel or thread, as a moderator."""
        threads.delete(self, self.place(channel))

    # --- interactions ----------------------------------------------------------------------------------------

    async def press(
        self, user: Ref, message_id: int, custom_id: str, values: Sequence[str] | None = None
    ) -> Interaction:
        """Press a button, or choose `values` in a menu. Raises LookupError if the message has no such component
        that can be used."""
        message = self._visible(message_id, user)
        component = components.find_by_custom_id(message.components, custom_id)
        if component is None or component.get("disabled"):
            raise LookupError(f"nothing to press: {custom_id}")
        data: Json = {"custom_id": custom_id, "component_type": component["type"], "id": component.get("id", 0)}
        if component["type"] in components.SELECTS:
            data["values"] = components.picked(component, values or ())
        interaction = self._interact(InteractionType.COMPONENT, user, message.channel_id, data)
        interaction.message_id = message.id
        return people.send_interaction(self, interaction, message)

    async def command(
        self,
        user: Ref,
        channel: Ref,
        name: str,
        options: Mapping[str, commands.OptionValue] | None = None,
        attachments: Mapping[str, NamedFile] | None = None,
    ) -> Interaction:
        """Use a slash command; `agent upload` names a subcommand. People, channels and the like are given by id.
        Raises LookupError for a command that isn't registered, ValueError for options that don't fit."""
        place = self.place(channel)
        command, way, takes = commands.find_command(self._commands_in(place), name, commands.SLASH)
        stored = self._store_all(place, (attachments or {}).values())
        values: dict[str, commands.OptionValue] = dict(options or {})
        values |= {option: str(file.id) for option, file in zip(attachments or {}, stored, strict=True)}
        data: Json = {
            "id": command["id"],
            "name": command["name"],
            "type": commands.SLASH,
            "options": commands.nest_options(way, takes, values),
            "resolved": people.resolve_options(self, place, takes, values, stored),
        }
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        return people.send_interaction(
            self, self._interact(InteractionType.COMMAND, user, place.id, data, name=name)
        )

    async def autocomplete(
        self,
        user: Ref,
        channel: Ref,
        name: str,
        option: str,
        text: str,
        options: Mapping[str, commands.OptionValue] | None = None,
    ) -> Interaction:
        """Type into an option that offers completions; they come to be the interaction's `choices`."""
        place = self.place(channel)
        command, way, takes = commands.find_command(self._commands_in(place), name, commands.SLASH)
        values = dict(options or {}) | {option: text}
        data: Json = {
            "id": command["id"],
            "name": command["name"],
            "type": commands.SLASH,
            "options": commands.nest_options(way, takes, values, focused=option),
        }
        return people.send_interaction(
            self, self._interact(InteractionType.AUTOCOMPLETE, user, place.id, data, name=name)
        )

    async def message_command(self, user: Ref, message_id: int, name: str) -> Interaction:
        """Use a command from a message's context menu."""
        message = self._visible(message_id, user)
        place = self.channels[message.channel_id]
        command, _, _ = commands.find_command(self._commands_in(place), name, commands.ON_MESSAGE)
        if not people.bot_is_in(self, place) and commands.TO_PERSON not in command["integration_types"]:
            raise LookupError(f"the app isn't installed there: {name}")
        found = people.resolved(self, place, messages=[message])
        data = _menu_data(command, message.id, found)
        interaction = self._interact(InteractionType.COMMAND, user, place.id, data, name=name)
        interaction.target_message_id = message.id
        return people.send_interaction(self, interaction)

    async def user_command(self, user: Ref, channel: Ref, target: Ref, name: str) -> Interaction:
        """Use a command from a person's context menu."""
        place, aimed_at = self.place(channel), self.person(target)
        command, _, _ = commands.find_command(self._commands_in(place), name, commands.ON_USER)
        data = _menu_data(command, aimed_at.id, people.resolved(self, place, users=[aimed_at.id]))
        return people.send_interaction(
            self, self._interact(InteractionType.COMMAND, user, place.id, data, name=name)
        )

    async def submit(self, interaction: Interaction, values: Mapping[str, modals.Filled]) -> Interaction:
        """Fill in and send the modal that answered an interaction: by custom id a text, the chosen values, or
        files as (name, media type, content). Raises ValueError for what Discord's own form wouldn't take."""
        if interaction.modal is None:
            raise LookupError("no modal is open")
        place = self.channels[interaction.channel_id]
        form = modals.FilledForm(lambda files: self._store_all(place, files), values)
        data: Json = {
            "custom_id": interaction.modal["custom_id"],
            "components": [form.fill(item) for item in interaction.modal["components"]],
            "resolved": people.resolved(self, place, attachments=form.files),
        }
        sent = self._interact(InteractionType.MODAL, interaction.user_id, place.id, data)
        sent.message_id = interaction.message_id
        message = None if sent.message_id is None else self._visible(sent.message_id, interaction.user_id)
        return people.send_interaction(self, sent, message)

    # --- what these share ------------------------------------------------------------------------------------

    def _own(self, user: Ref, channel: Ref, message_id: int) -> tuple[Channel, Message]:
        place = self.place(channel)
        message = place.messages[message_id]
        if message.author.id != self.person(user).id:
            raise PermissionError(f"{user} didn't write {message_id}")
        return place, message

    def _open_for(self, author: User, place: Channel) -> None:
        if place.thread is None or (place.thread.owner_id == author.id and not place.thread.archived):
            return
        if place.thread.locked:
            raise PermissionError("the thread is locked")
        if place.thread.archived:
            membership.set_archived(self, place, archived=False)

    def _visible(self, message_id: int, user: Ref) -> Message:
        hidden = self.ephemeral.get(message_id)
        if hidden is not None and hidden.seen_only_by == self.person(user).id:
            return hidden
        for channel in self.channels.values():
            if message_id in channel.messages:
                return channel.messages[message_id]
        raise LookupError(f"no such message: {message_id}")

    def _interact(
        self, kind: InteractionType, user: Ref, channel_id: int, data: Json, *, name: str | None = None
    ) -> Interaction:
        place = self.channels[channel_id]
        return people.new_interaction(self, kind, self.person(user).id, place, data, name=name)

    def _commands_in(self, place: Channel) -> list[Json]:
        return self.commands.get(place.guild_id or 0, []) + (self.commands[0] if place.guild_id else [])

    def _store_all(self, place: Channel, files: Iterable[NamedFile]) -> list[Attachment]:
        return [self.store_file(place.id, upload, ephemeral=True) for upload in self._uploads(place, files)]

    def _uploads(self, place: Channel, files: Iterable[NamedFile]) -> list[Upload]:
        uploads = [Upload(*file) for file in files]
        limit = file_limit_in(self, place)
        if len(uploads) > MAX_FILES or any(len(upload.data) > limit for upload in uploads):
            raise ValueError(f"at most {MAX_FILES} files of {limit} bytes")
        return uploads

    def _draft(
        self,
        place: Channel,
        text: str,
        files: Sequence[NamedFile],
        reply_to: int | None = None,
        *,
        more: bool = False,
    ) -> Draft:
        if len(text) > MAX_TYPED:
            raise ValueError(f"a message has at most {MAX_TYPED} characters")
        if not (text.strip() or files or more):
            raise ValueError("a message needs text or a file")
        return Draft(content=text.strip(), uploads=self._uploads(place, files), reply_to=reply_to)


def _menu_data(command: Json, target_id: int, resolved: Json) -> Json:
    return {
        "id": command["id"],
        "name": command["name"],
        "type": command["type"],
        "target_id": str(target_id),
        "resolved": resolved,
    }
