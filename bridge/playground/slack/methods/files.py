"""files.*: uploads in three steps, listing and deleting."""

from __future__ import annotations

import mimetypes
from dataclasses import replace

from bridge.playground.slack import shapes
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import TIER_3, TIER_4
from bridge.playground.slack.methods.chat import read_content, thread_root
from bridge.playground.slack.methods.table import Arguments, joined_channel, method, page
from bridge.playground.slack.values import Json, Message, StoredFile
from bridge.playground.slack.world import SlackWorld


def _find(world: SlackWorld, file_id: str) -> StoredFile:
    file = world.files.get(file_id)
    if file is None or not file.shared:
        raise SlackError("file_not_found")
    return file


@method("files.getUploadURLExternal", TIER_4, "files:write")
def get_upload_url(world: SlackWorld, args: Arguments) -> Json:
    name = args.need("filename")
    length = args.number("length", 0, 2**40)
    if not length:
        raise SlackError("invalid_arguments", "missing required field: length")
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    file = StoredFile(world.new_id("F"), name, name, media_type, b"", world.bot.id, world.seconds())
    world.keep_file(file)
    world.upload_lengths[file.id] = length
    return {"upload_url": f"{world.base_url}/upload/v1/{file.id}", "file_id": file.id}


@method("files.completeUploadExternal", TIER_4, "files:write")
def complete_upload(world: SlackWorld, args: Arguments) -> Json:
    listed = args.json("files", "invalid_arguments")
    if not isinstance(listed, list) or not listed:
        raise SlackError("invalid_arguments", "missing required field: files")
    uploaded = []
    for one in listed:
        file = world.files.get(str(one.get("id")))
        if file is None or file.user != world.bot.id or file.id in world.upload_lengths:
            raise SlackError("file_not_found")
        uploaded.append(replace(file, title=one.get("title") or file.name, shared=True))
    channel_ids = [args.text("channel_id"), *(args.text("channels") or "").split(",")]
    targets = [joined_channel(world, Arguments(channel=one)) for one in channel_ids if one]
    content = read_content(world, Arguments(text=args.get("initial_comment"), blocks=args.get("blocks")))
    roots = [thread_root(channel, args.text("thread_ts")) for channel in targets]
    for file in uploaded:
        world.files[file.id] = file
    for channel, root in zip(targets, roots, strict=True):
        message = Message(
            channel.id,
            "" if world.share_after else world.new_ts(),
            world.bot.id,
            content.text or "",
            root,
            subtype="file_share",
            bot_id=world.bot.bot_id,
            app_id=world.app_id,
            blocks=content.blocks or (),
            files=tuple(uploaded),
        )
        if world.share_after:
            world.shares_due[uploaded[0].id] = world.share_after, message
        else:
            _share(world, message)
    # Slack shares the files only after this answer: `shares` is known to files.info, not here.
    return {"files": [shapes.file_json(world, file) for file in uploaded]}


def _share(world: SlackWorld, message: Message) -> None:
    world.put(message)
    world.note_effects(message, unfurls=True)


def _share_if_due(world: SlackWorld, file_id: str) -> None:
    left, message = world.shares_due.pop(file_id, (0, None))
    if message is not None and left > 1:
        world.shares_due[file_id] = left - 1, message
    elif message is not None:
        _share(world, replace(message, ts=world.new_ts()))


def _with_shares(world: SlackWorld, file: StoredFile) -> Json:
    shares: dict[str, dict[str, list[Json]]] = {}
    for channel in world.channels.values():
        for message in channel.messages.values():
            if any(one.id == file.id for one in message.files):
                kind = "public" if channel.kind == "channel" else "private"
                share: Json = {"ts": message.ts, "channel_name": channel.name, "team_id": world.team_id}
                if message.thread_ts:
                    share["thread_ts"] = message.thread_ts
                shares.setdefault(kind, {}).setdefault(channel.id, []).append(share)
    return shapes.file_json(world, file) | {"shares": shares}


@method("files.info", TIER_4, "files:read")
def info(world: SlackWorld, args: Arguments) -> Json:
    file = _find(world, args.need("file"))
    _share_if_due(world, file.id)
    return {"file": _with_shares(world, file), "comments": []}


@method("files.list", TIER_3, "files:read")
def list_files(world: SlackWorld, args: Arguments) -> Json:
    found = [file for file in world.files.values() if file.shared]
    if user := args.text("user"):
        found = [file for file in found if file.user == user]
    shown, _ = page(found[::-1], args, 100, 1000)
    return {
        "files": [shapes.file_json(world, file) for file in shown],
        "paging": {"count": len(shown), "total": len(found), "page": 1, "pages": 1},
    }


@method("files.delete", TIER_3, "files:write")
def delete(world: SlackWorld, args: Arguments) -> Json:
    file = _find(world, args.need("file"))
    if file.user != world.bot.id:
        raise SlackError("cant_delete_file")
    del world.files[file.id]
    for channel in world.channels.values():
        for message in [one for one in channel.messages.values() if file in one.files]:
            world.change(replace(message, files=tuple(one for one in message.files if one.id != file.id)))
    return {}
