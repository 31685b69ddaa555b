"""chat.*: messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bridge.playground.slack import shapes
from bridge.playground.slack.checks import (
    MAX_ATTACHMENTS,
    MAX_MARKDOWN,
    MAX_TEXT,
    MAX_UPDATE_TEXT,
    check_message,
    check_metadata,
)
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import POSTING, TIER_3, TIER_4
from bridge.playground.slack.methods.table import (
    Arguments,
    find_channel,
    find_message,
    joined_channel,
    method,
)
from bridge.playground.slack.values import Channel, Json, Message
from bridge.playground.slack.world import SlackWorld


@dataclass(frozen=True, slots=True)
class Content:
    """What a call gives to show, each None if not given."""

    text: str | None = None
    markdown: str | None = None
    blocks: tuple[Json, ...] | None = None
    attachments: tuple[Json, ...] | None = None

    @property
    def visible(self) -> bool:
        said = (self.text or "").strip() or (self.markdown or "").strip()
        return bool(said or self.blocks or self.attachments)


def read_content(world: SlackWorld, args: Arguments) -> Content:
    text, markdown = args.text("text"), args.text("markdown_text")
    blocks: Any = args.json("blocks", "invalid_blocks_format")
    if markdown is not None:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN:
            raise SlackError("msg_too_long")
    attachments: Any = args.json("attachments", "invalid_attachments")
    if attachments is not None and len(attachments) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    if blocks is not None:
        check_message(blocks)
        blocks = world.named_blocks(blocks)
    return Content(text, markdown, blocks, None if attachments is None else tuple(attachments))


def compose(world: SlackWorld, args: Arguments, channel: Channel) -> Message:
    content = read_content(world, args)
    if not content.visible:
        raise SlackError("no_text")
    metadata = args.json("metadata", "invalid_metadata_format")
    return Message(
        channel.id,
        "",
        world.bot.id,
        (content.text or "")[:MAX_TEXT],
        thread_root(channel, args.text("thread_ts")),
        content.markdown or "",
        bot_id=world.bot.bot_id,
        app_id=world.app_id,
        blocks=content.blocks or (),
        attachments=content.attachments or (),
        metadata=None if metadata is None else check_metadata(metadata),
    )


def thread_root(channel: Channel, thread_ts: str | None) -> str | None:
    """The ts of the thread's root. A reply's ts leads to its thread."""
    if not thread_ts:
        return None
    message = channel.messages.get(thread_ts)
    if message is None:
        raise SlackError("thread_not_found")
    return message.root


@method("chat.postMessage", POSTING, "chat:write")
def post_message(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args)
    message = replace(compose(world, args, channel), ts=world.new_ts())
    world.put(message)
    kept_shut = args.flag("unfurl_links") is False and args.flag("unfurl_media") is False
    link_names = bool(args.flag("link_names")) or args.text("parse") == "full"
    world.note_effects(message, unfurls=not kept_shut, link_names=link_names)
    return {"channel": channel.id, "ts": message.ts, "message": shapes.message_json(world, message)}


@method("chat.update", TIER_3, "chat:write")
def update(world: SlackWorld, args: Arguments) -> Json:
    channel = find_channel(world, args)
    message = find_message(channel, args.need("ts"))
    if message.user != world.bot.id:
        raise SlackError("cant_update_message")
    if message.streaming == "in_progress":
        if world.stream_alive(message):
            raise SlackError("streaming_state_conflict")
        message = replace(message, streaming="completed")
    content = read_content(world, args)
    if content == Content():
        raise SlackError("no_text")
    if len(content.text or "") > MAX_UPDATE_TEXT:
        raise SlackError("msg_too_long")
    metadata = args.json("metadata", "invalid_metadata_format")
    changed = replace(
        message,
        text=(message.text if content.text is None else content.text) if content.markdown is None else "",
        markdown=content.markdown or "",
        blocks=message.blocks if content.blocks is None else content.blocks,
        attachments=message.attachments if content.attachments is None else content.attachments,
        metadata=message.metadata if metadata is None else (check_metadata(metadata) if metadata else None),
        tasks={},
    )
    if not Content(changed.text, changed.markdown, changed.blocks, changed.attachments).visible:
        raise SlackError("no_text")
    if not changed.blocks:
        changed = replace(changed, edited_ts=world.new_ts(), edited_by=world.bot.id)
    world.change(changed)
    world.note_effects(changed, link_names=bool(args.flag("link_names")) or args.text("parse") == "full")
    return {
        "channel": channel.id,
        "ts": changed.ts,
        "text": changed.text,
        "message": shapes.message_json(world, changed),
    }


@method("chat.delete", TIER_3, "chat:write")
def delete(world: SlackWorld, args: Arguments) -> Json:
    channel = find_channel(world, args)
    message = find_message(channel, args.need("ts"))
    if message.user != world.bot.id or (message.streaming == "in_progress" and world.stream_alive(message)):
        raise SlackError("cant_delete_message")
    world.remove(message)
    return {"channel": channel.id, "ts": message.ts}


@method("chat.postEphemeral", TIER_4, "chat:write")
def post_ephemeral(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args)
    user = args.need("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    message = replace(compose(world, args, channel), ts=world.new_ts(), ephemeral_for=user)
    world.show_ephemeral(message)
    return {"message_ts": message.ts}


@method("chat.getPermalink", TIER_4)
def get_permalink(world: SlackWorld, args: Arguments) -> Json:
    channel = find_channel(world, args)
    message = find_message(channel, args.need("message_ts"))
    link = f"https://{world.domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}
