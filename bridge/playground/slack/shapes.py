"""The JSON that Slack gives for its values, in answers and in events."""

from __future__ import annotations

import mimetypes
import re
from typing import TYPE_CHECKING

from bridge.playground.slack.tasks import plan_block
from bridge.playground.slack.values import Channel, Json, Message, Person, StoredFile, View

if TYPE_CHECKING:
    from bridge.playground.slack.workspace import Workspace


def person_json(world: Workspace, person: Person) -> Json:
    return {
        "id": person.id,
        "team_id": person.team or world.team_id,
        **({"enterprise_user": {"enterprise_id": world.organisation}} if world.organisation else {}),
        "name": person.name,
        "deleted": False,
        "real_name": person.real_name,
        "tz": "Europe/Berlin",
        "tz_label": "Central European Time",
        "tz_offset": 3600,
        "profile": {
            "real_name": person.real_name,
            "real_name_normalized": person.real_name,
            "display_name": person.name if not person.is_bot else "",
            "display_name_normalized": person.name if not person.is_bot else "",
            "team": world.team_id,
            # of one's own workspace, and only with the scope
            **({"email": person.email} if person.email and "users:read.email" in world.scopes else {}),
            **({"bot_id": person.bot_id, "api_app_id": person.app_id} if person.is_bot else {}),
        },
        "is_admin": False,
        "is_owner": False,
        "is_restricted": person.is_guest,
        "is_ultra_restricted": False,
        "is_bot": person.is_bot,
        "is_app_user": False,
        **({"is_stranger": False} if person.team else {}),  # false for someone whom a shared channel shows
        "updated": world.seconds(),
    }


def file_json(world: Workspace, file: StoredFile) -> Json:
    base = world.base_url
    extension = file.name.rpartition(".")[2].lower() if "." in file.name else ""
    filetype = extension or (mimetypes.guess_extension(file.media_type) or ".text").lstrip(".")
    download = f"{base}/files-pri/{world.team_id}-{file.id}/download/{file.id.lower()}"
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.media_type,
        "filetype": filetype,
        "pretty_type": filetype.upper(),
        "user": file.user,
        "user_team": world.team_id,
        "editable": False,
        "size": len(file.content),
        "mode": "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": False,
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": download.replace("/download/", "/"),
        "url_private_download": download,
        "permalink": f"{base}/files/{file.user}/{file.id}",
        "has_rich_preview": False,
        "file_access": "visible",
    } | ({} if file.clip_ms is None else _clip_json(file.clip_ms))


def _clip_json(milliseconds: int) -> Json:
    """What a recording has besides; its media type says nothing of it."""
    return {
        "subtype": "slack_audio",
        "media_display_type": "audio",
        "duration_ms": milliseconds,
        "transcription": {"status": "processing"},
    }


def message_json(world: Workspace, message: Message, *, with_metadata: bool = True) -> Json:
    """A message as conversations.history and the events show it."""
    text = as_mrkdwn(message.markdown) if message.markdown else message.text
    shape: Json = {"type": "message", "text": text, "ts": message.ts}
    if message.user:
        shape["user"] = message.user
    if message.subtype:
        shape["subtype"] = message.subtype
    if message.client_msg_id:
        shape["client_msg_id"] = message.client_msg_id
    author = world.people.get(message.user)
    shape["team"] = (author and author.team) or world.team_id
    if message.bot_id:
        shape["bot_id"] = message.bot_id
    if message.app_id:
        shape["app_id"] = message.app_id
        shape["bot_profile"] = bot_json(world, str(message.bot_id))
    if message.username:
        shape["username"] = message.username
    markdown = [{"type": "markdown", "block_id": "md", "text": message.markdown}] if message.markdown else []
    plan = plan_block(message.tasks)
    if plan or markdown or message.blocks:
        shape["blocks"] = [*([plan] if plan else []), *markdown, *message.blocks]
    if message.attachments:
        shape["attachments"] = list(message.attachments)
    if message.files:
        shape["files"] = [file_json(world, file) for file in message.files]
        shape["upload"] = False
    if message.metadata and with_metadata:
        shape["metadata"] = message.metadata
    if message.edited_ts:
        shape["edited"] = {"user": message.edited_by, "ts": message.edited_ts}
    if message.reactions:
        shape["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
        ]
    if message.streaming is not None:
        shape["streaming_state"] = message.streaming
    channel = world.channels[message.channel]
    replies = channel.threads.get(message.ts)
    if message.thread_ts:
        shape["thread_ts"] = message.thread_ts
        root = channel.messages.get(message.thread_ts)
        if root is not None:
            shape["parent_user_id"] = root.user
    elif replies:
        said = [channel.messages[ts] for ts in replies]
        users = list(dict.fromkeys(reply.user for reply in said))
        shape |= {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users": users[:5],
            "reply_users_count": len(users),
            "latest_reply": replies[-1],
            "is_locked": False,
            "subscribed": False,
        }
    return shape


def as_mrkdwn(markdown: str) -> str:
    """The `text` that Slack makes of Markdown: its own emphasis, bullets and links, headings bare."""
    text = re.sub(r"\[([^\]]*)\]\(([^)\s]*)\)", r"<\2|\1>", markdown)
    text = re.sub(r"\*\*(\S(?:[^\n]*?\S)?)\*\*", r"*\1*", text)
    text = re.sub(r"^#{1,6} +", "", text, flags=re.MULTILINE)
    return re.sub(r"^( *)[-*] ", r"\1• ", text, flags=re.MULTILINE)


def bot_json(world: Workspace, bot_id: str) -> Json:
    person = next(person for person in world.people.values() if person.bot_id == bot_id)
    return {
        "id": bot_id,
        "deleted": False,
        "name": person.real_name,
        "updated": world.seconds(),
        "app_id": person.app_id,
        "user_id": person.id,
        "icons": {"image_36": "", "image_48": "", "image_72": ""},
        "team_id": world.team_id,
    }


def channel_json(world: Workspace, channel: Channel) -> Json:
    shape: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.is_direct,
        "is_org_shared": False,
        "updated": channel.created * 1000,
        "context_team_id": world.team_id,
    }
    if channel.is_direct:
        other = next(iter(channel.members - {world.bot.id}))
        return shape | {"user": other, "is_user_deleted": False, "is_open": True, "priority": 0}
    return shape | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_mpim": False,
        "is_private": channel.kind == "group",
        "is_general": channel.name == "general",
        "is_shared": False,
        "is_ext_shared": False,
        "is_member": world.bot.id in channel.members,
        "creator": next(iter(world.people)),
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
        "num_members": len(channel.members),
    }


def view_json(world: Workspace, view: View) -> Json:
    body = view.body
    return {
        "id": view.id,
        "team_id": world.team_id,
        "type": view.type,
        "blocks": body.get("blocks", []),
        "private_metadata": body.get("private_metadata", ""),
        "callback_id": body.get("callback_id", ""),
        "state": {"values": {}},
        "hash": view.hash,
        "title": body.get("title"),
        "clear_on_close": bool(body.get("clear_on_close", False)),
        "notify_on_close": bool(body.get("notify_on_close", False)),
        "close": body.get("close"),
        "submit": body.get("submit"),
        "previous_view_id": view.previous,
        "root_view_id": view.root,
        "app_id": world.app_id,
        "external_id": view.external_id,
        "app_installed_team_id": world.team_id,
        "bot_id": world.bot.bot_id,
    }
