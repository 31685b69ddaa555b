"""conversations.*, reactions.*: channels and what was said in them."""

from __future__ import annotations

from bridge.playground.slack import shapes
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import TIER_2, TIER_3, TIER_4
from bridge.playground.slack.methods.table import (
    Arguments,
    find_channel,
    find_message,
    joined_channel,
    method,
    page,
)
from bridge.playground.slack.values import Channel, Json, Message
from bridge.playground.slack.world import SlackWorld

READ = ("channels:read", "groups:read", "im:read")
COMMERCIAL_PAGE = 15  # messages a call for a commercial app outside the Marketplace
HISTORY = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}


def _require_history(world: SlackWorld, channel: Channel) -> None:
    needed = HISTORY[channel.kind]
    if needed not in world.scopes:
        raise SlackError("missing_scope", needed=needed, provided=",".join(sorted(world.scopes)))


def _readable(world: SlackWorld, args: Arguments) -> Channel:
    channel = find_channel(world, args)
    if world.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    _require_history(world, channel)
    return channel


def _within(messages: list[Message], args: Arguments) -> list[Message]:
    oldest, latest = args.text("oldest") or "0", args.text("latest")
    inclusive = bool(args.flag("inclusive"))
    try:
        low, high = float(oldest), float(latest) if latest else float("inf")
    except ValueError:
        raise SlackError("invalid_ts_latest") from None

    def fits(ts: str) -> bool:
        at = float(ts)
        return low <= at <= high if inclusive else low < at < high

    return [message for message in messages if fits(message.ts)]


def _answer(world: SlackWorld, found: list[Message], cursor: str, args: Arguments) -> Json:
    with_metadata = bool(args.flag("include_all_metadata"))
    shown = [shapes.message_json(world, message, with_metadata=with_metadata) for message in found]
    answer: Json = {"messages": shown, "has_more": bool(cursor)}
    if cursor:
        answer["response_metadata"] = {"next_cursor": cursor}
    return answer


@method("conversations.history", TIER_3, *HISTORY.values())
def history(world: SlackWorld, args: Arguments) -> Json:
    channel = _readable(world, args)
    roots = [message for message in channel.messages.values() if message.thread_ts is None]
    most = COMMERCIAL_PAGE if world.commercial else 999
    found, cursor = page(_within(roots, args)[::-1], args, min(100, most), most)
    return _answer(world, found, cursor, args) | {"pin_count": 0}


@method("conversations.replies", TIER_3, *HISTORY.values())
def replies(world: SlackWorld, args: Arguments) -> Json:
    channel = _readable(world, args)
    asked = find_message(channel, args.need("ts"), "thread_not_found")
    if asked.thread_ts is not None:
        return _answer(world, [asked], "", args)
    root, *said = world.thread(channel.id, asked.ts)
    most = COMMERCIAL_PAGE if world.commercial else 1000
    found, cursor = page([root, *_within(said, args)], args, most, most)
    return _answer(world, found, cursor, args)


@method("conversations.info", TIER_3, *READ)
def info(world: SlackWorld, args: Arguments) -> Json:
    return {"channel": shapes.channel_json(world, find_channel(world, args))}


@method("conversations.open", TIER_3, "im:write")
def open_conversation(world: SlackWorld, args: Arguments) -> Json:
    users = args.text("users")
    if not users:
        channel = find_channel(world, args)
        return {"channel": shapes.channel_json(world, channel)}
    if users not in world.people or users == world.bot.id:
        raise SlackError("user_not_found")
    existed = any(channel.is_direct and users in channel.members for channel in world.channels.values())
    channel = world.direct(users)
    shape = shapes.channel_json(world, channel) if args.flag("return_im") else {"id": channel.id}
    return {"channel": shape, **({"already_open": True, "no_op": True} if existed else {})}


@method("conversations.list", TIER_2, *READ)
def list_conversations(world: SlackWorld, args: Arguments) -> Json:
    kinds = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
    wanted = (args.text("types") or "public_channel").split(",")
    if not all(one.strip() in kinds for one in wanted):
        raise SlackError("invalid_types")
    listed = {kinds[one.strip()] for one in wanted}
    found = [
        channel
        for channel in world.channels.values()
        if channel.kind in listed and (channel.kind == "channel" or world.bot.id in channel.members)
    ]
    shown, cursor = page(found, args, 100, 1000)
    return {
        "channels": [shapes.channel_json(world, channel) for channel in shown],
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.members", TIER_4, *READ)
def members(world: SlackWorld, args: Arguments) -> Json:
    found, cursor = page(sorted(find_channel(world, args).members), args, 100, 1000)
    return {"members": found, "response_metadata": {"next_cursor": cursor}}


@method("conversations.join", TIER_3, "channels:join")
def join(world: SlackWorld, args: Arguments) -> Json:
    channel = find_channel(world, args)
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    channel.members.add(world.bot.id)
    return {"channel": shapes.channel_json(world, channel)}


@method("reactions.add", TIER_3, "reactions:write")
def add_reaction(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args)
    message = find_message(channel, args.need("timestamp"))
    world.react(message, world.bot.id, args.need("name").strip(":"))
    return {}


@method("reactions.remove", TIER_2, "reactions:write")
def remove_reaction(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args)
    message = find_message(channel, args.need("timestamp"))
    world.unreact(message, world.bot.id, args.need("name").strip(":"))
    return {}
