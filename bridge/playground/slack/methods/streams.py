"""chat.startStream, appendStream, stopStream: messages that grow while people read."""

from __future__ import annotations

from dataclasses import replace

from bridge.playground.slack import shapes
from bridge.playground.slack.checks import MAX_MARKDOWN, check_chunks, check_message, check_metadata
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import TIER_2, TIER_4
from bridge.playground.slack.methods.agents import STATUSES
from bridge.playground.slack.methods.chat import thread_root
from bridge.playground.slack.methods.table import Arguments, find_channel, find_message, joined_channel, method
from bridge.playground.slack.tasks import updated
from bridge.playground.slack.values import Channel, Json, Message
from bridge.playground.slack.world import SlackWorld


def _grow(world: SlackWorld, message: Message, args: Arguments) -> Message:
    """The message with the call's text and chunks at its end."""
    markdown = args.text("markdown_text") or ""
    chunks = args.json("chunks", "invalid_chunks") or []
    if not isinstance(chunks, list) or not all(isinstance(chunk, dict) for chunk in chunks):
        raise SlackError("invalid_chunks")
    if markdown and chunks:
        raise SlackError("cannot_provide_both_markdown_text_and_chunks")
    mode = "text" if markdown else "chunks" if chunks else message.streams
    if message.streams not in (None, mode):
        raise SlackError("streaming_mode_mismatch")
    check_chunks(chunks)
    text, blocks, tasks = message.markdown, list(message.blocks), dict(message.tasks)
    added = [markdown, *(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")]
    if any(len(one) > MAX_MARKDOWN for one in added):
        raise SlackError("msg_too_long")
    text += "".join(added)
    for chunk in chunks:
        if chunk["type"] in ("task_update", "plan_update"):
            tasks = updated(tasks, chunk)
        elif chunk["type"] == "blocks":
            blocks += world.named_blocks(chunk["blocks"])
    check_message(blocks)
    if len(text.encode()) > world.stream_bytes:
        raise SlackError("msg_too_long")
    return replace(message, markdown=text, blocks=tuple(blocks), tasks=tasks, streams=mode)


def _streaming(world: SlackWorld, args: Arguments) -> tuple[Channel, Message]:
    channel = find_channel(world, args)
    message = find_message(channel, args.need("ts"))
    if message.user != world.bot.id:
        raise SlackError("message_not_owned_by_app")
    if (channel.id, message.ts) in world.stopped_streams:
        raise SlackError("stopped_by_user")
    if message.streaming != "in_progress" or not world.stream_alive(message):
        raise SlackError("message_not_in_streaming_state")
    return channel, message


@method("chat.startStream", TIER_2, "chat:write")
def start_stream(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args)
    thread_ts = thread_root(channel, args.text("thread_ts"))
    if channel.is_direct and thread_ts is None:
        raise SlackError("invalid_thread_ts")
    if not channel.is_direct:
        for name in ("recipient_user_id", "recipient_team_id"):
            if not args.text(name):
                raise SlackError(f"missing_{name}")
    recipient, team = args.text("recipient_user_id"), args.text("recipient_team_id")
    if recipient and recipient not in world.people:
        raise SlackError("user_not_found")
    person = world.people.get(recipient or "")
    if team and team != ((person and person.team) or world.team_id):
        raise SlackError("team_not_found")
    if args.text("task_display_mode") not in (None, "timeline", "plan", "dense"):
        raise SlackError("invalid_arguments", "task_display_mode must be timeline or plan")
    empty = Message(
        channel.id,
        "",
        world.bot.id,
        thread_ts=thread_ts,
        bot_id=world.bot.bot_id,
        app_id=world.app_id,
        streaming="in_progress",
    )
    message = replace(_grow(world, empty, args), ts=world.new_ts())
    world.streams_until[channel.id, message.ts] = world.clock() + world.stream_seconds
    world.put(message)
    world.note_effects(message)
    return {"channel": channel.id, "ts": message.ts}


@method("chat.appendStream", TIER_4, "chat:write")
def append_stream(world: SlackWorld, args: Arguments) -> Json:
    channel, message = _streaming(world, args)
    if not args.text("markdown_text") and not args.get("chunks"):
        raise SlackError("no_text")
    world.note_effects(world.change(_grow(world, message, args), quietly=True))
    return {"channel": channel.id, "ts": message.ts}


@method("chat.stopStream", TIER_2, "chat:write")
def stop_stream(world: SlackWorld, args: Arguments) -> Json:
    channel, message = _streaming(world, args)
    status = args.text("session_status")
    if status is not None and status not in STATUSES:
        raise SlackError("invalid_arguments", "session_status must be a lifecycle status")
    grown = _grow(world, message, args)
    blocks = args.json("blocks", "invalid_blocks_format")
    if blocks:
        check_message([*grown.blocks, *blocks])
        grown = replace(grown, blocks=(*grown.blocks, *world.named_blocks(blocks)))
    if not grown.markdown.strip() and not grown.blocks and not grown.tasks:
        raise SlackError("no_text")
    metadata = args.json("metadata", "invalid_metadata_format")
    if metadata is not None:
        grown = replace(grown, metadata=check_metadata(metadata))
    world.streams_until.pop((channel.id, message.ts), None)
    stopped = world.change(replace(grown, streaming="completed"))
    world.note_effects(stopped)
    if status is not None:
        world.set_session(replace(world.session(channel.id, message.root), status=status, label=""))
    return {"channel": channel.id, "ts": stopped.ts, "message": shapes.message_json(world, stopped)}
