"""agents.sessions.* and assistant.threads.*: what Slack shows of an agent at work."""

from __future__ import annotations

from dataclasses import replace

from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import SPECIAL, TIER_3, TIER_4
from bridge.playground.slack.methods.table import Arguments, find_message, joined_channel, method
from bridge.playground.slack.values import Channel, Json, Prompts
from bridge.playground.slack.world import SlackWorld

STATUSES = ("processing", "active", "suspended", "closed")
MAX_TITLE = 200
MAX_LOADING_MESSAGES = 10
MAX_PROMPTS = 4
STATUS_SECONDS = 120.0  # the life of what assistant.threads.setStatus shows


@method("agents.sessions.setStatus", TIER_3, "chat:write")
def set_session_status(world: SlackWorld, args: Arguments) -> Json:
    status = args.need("status")
    if status not in STATUSES:
        raise SlackError("invalid_arguments", "status must be active, processing, suspended or closed")
    channel = joined_channel(world, args, "channel_id")
    root = find_message(channel, args.need("thread_ts"), "thread_not_found")
    title = args.text("title")
    if title is not None and len(title) > MAX_TITLE:
        raise SlackError("invalid_arguments", f"title must be at most {MAX_TITLE} characters")
    known = world.session(channel.id, root.root).status != ""
    session = replace(world.session(channel.id, root.root), status=status)
    if title and not known:
        session = replace(session, title=title)
    world.set_session(session)
    answer: Json = {"status": status, "agent_status": status, "title": session.title}
    if "agent_session_stopped" not in world.subscriptions:
        answer["warning"] = "missing_agent_session_stopped_event_subscription"
    return answer


@method("agents.sessions.rename", TIER_3, "chat:write")
def rename_session(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args, "channel_id")
    root = find_message(channel, args.need("thread_ts"), "thread_not_found")
    title = args.need("title")
    if len(title) > MAX_TITLE:
        raise SlackError("invalid_arguments", f"title must be at most {MAX_TITLE} characters")
    if not world.session(channel.id, root.root).status:
        raise SlackError("session_not_found")
    world.set_session(replace(world.session(channel.id, root.root), title=title))
    return {"title": title}


@method("assistant.threads.setStatus", SPECIAL, "assistant:write", "chat:write")
def set_status(world: SlackWorld, args: Arguments) -> Json:
    channel = joined_channel(world, args, "channel_id")
    root = find_message(channel, args.need("thread_ts"), "invalid_thread_ts")
    status = args.text("status")
    if status is None:
        raise SlackError("invalid_arguments", "missing required field: status")
    loading = args.json("loading_messages", "invalid_arguments") or []
    if not isinstance(loading, list) or not all(isinstance(one, str) and one for one in loading):
        raise SlackError("invalid_arguments", "loading_messages must be texts")
    if len(loading) > MAX_LOADING_MESSAGES:
        raise SlackError("invalid_arguments", f"at most {MAX_LOADING_MESSAGES} loading messages")
    session = world.session(channel.id, root.root)
    until = world.clock() + STATUS_SECONDS
    world.set_session(replace(session, label=status, label_until=until, loading_messages=tuple(loading)))
    return {}


def _direct(world: SlackWorld, args: Arguments) -> Channel:
    """Only direct messages with the app are an assistant's."""
    channel = joined_channel(world, args, "channel_id")
    if not channel.is_direct:
        raise SlackError("channel_not_found")
    return channel


@method("assistant.threads.setTitle", SPECIAL, "assistant:write")
def set_title(world: SlackWorld, args: Arguments) -> Json:
    channel = _direct(world, args)
    root = find_message(channel, args.need("thread_ts"), "invalid_thread_ts")
    world.set_session(replace(world.session(channel.id, root.root), title=args.need("title")))
    return {}


@method("assistant.threads.setSuggestedPrompts", TIER_4, "assistant:write")
def set_suggested_prompts(world: SlackWorld, args: Arguments) -> Json:
    channel = _direct(world, args)
    prompts = args.json("prompts", "invalid_arguments")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= MAX_PROMPTS:
        raise SlackError("invalid_arguments", f"between 1 and {MAX_PROMPTS} prompts")
    for prompt in prompts:
        given = prompt if isinstance(prompt, dict) else {}
        if not all(isinstance(given.get(name), str) and given[name] for name in ("title", "message")):
            raise SlackError("invalid_arguments", "a prompt needs a title and a message")
    thread = args.text("thread_ts")
    if not world.agent_view:
        find_message(channel, thread or "", "invalid_thread_ts")
    elif thread is not None:
        return {}  # documented: the call "silently fails" for an agent's app
    world.set_prompts(Prompts(channel.id, tuple(prompts), args.text("title") or ""))
    return {}
