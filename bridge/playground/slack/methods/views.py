"""views.*: modals and home tabs."""

from __future__ import annotations

import json
from dataclasses import replace

from bridge.playground.slack import shapes
from bridge.playground.slack.checks import check_view
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import TIER_4
from bridge.playground.slack.methods.table import Arguments, method
from bridge.playground.slack.values import Json, View
from bridge.playground.slack.world import SlackWorld

MAX_VIEW_BYTES = 250_000
MAX_STACK = 3  # modals on top of each other


def _read(args: Arguments, kind: str) -> Json:
    view = args.json("view", "invalid_arguments")
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", "missing required field: view")
    check_view(view)
    if view["type"] != kind:
        raise SlackError("invalid_arguments", f"must be a {kind} view [json-pointer:/view/type]")
    body: Json = view
    return body


def _new(world: SlackWorld, user: str, body: Json) -> View:
    external_id = str(body.get("external_id", ""))
    if external_id and any(view.external_id == external_id for view in world.views.values()):
        raise SlackError("duplicate_external_id")
    return View(world.new_id("V"), user, body["type"], world.new_ts(), body, external_id)


@method("views.open", TIER_4)
def open_view(world: SlackWorld, args: Arguments) -> Json:
    trigger, body = args.need("trigger_id"), _read(args, "modal")
    view = world.show_view(_new(world, world.take_trigger(trigger), body))
    return {"view": shapes.view_json(world, view)}


@method("views.push", TIER_4)
def push_view(world: SlackWorld, args: Arguments) -> Json:
    trigger, body = args.need("trigger_id"), _read(args, "modal")
    user = world.take_trigger(trigger)
    below = world.view_of(user)
    if below is None:
        raise SlackError("not_found")
    if sum(1 for view in world.views.values() if view.root == below.root) >= MAX_STACK:
        raise SlackError("push_limit_reached")
    view = world.show_view(replace(_new(world, user, body), root=below.root, previous=below.id))
    return {"view": shapes.view_json(world, view)}


@method("views.update", TIER_4)
def update_view(world: SlackWorld, args: Arguments) -> Json:
    wanted, external_id = args.text("view_id"), args.text("external_id")
    if not wanted and not external_id:
        raise SlackError("invalid_arguments", "missing required field: view_id")
    found = [
        view
        for view in world.views.values()
        if view.id == wanted or (external_id and view.external_id == external_id)
    ]
    if not found:
        raise SlackError("not_found")
    view = found[0]
    body = _read(args, view.type)
    if args.text("hash") not in (None, "", view.hash):
        raise SlackError("hash_conflict")
    changed = world.show_view(replace(view, body=body, hash=world.new_ts()))
    return {"view": shapes.view_json(world, changed)}


@method("views.publish", TIER_4)
def publish_view(world: SlackWorld, args: Arguments) -> Json:
    user, body = args.need("user_id"), _read(args, "home")
    if not world.home_tab_enabled:
        raise SlackError("not_enabled")
    if user not in world.people:
        raise SlackError("invalid_arguments", "invalid `user_id`")
    if len(json.dumps(body)) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    known = world.home_of(user)
    if args.text("hash") not in (None, "", known.hash if known else None):
        raise SlackError("hash_conflict")
    made = _new(world, user, body) if known is None else replace(known, body=body, hash=world.new_ts())
    view = world.show_view(made)
    return {"view": shapes.view_json(world, view)}
