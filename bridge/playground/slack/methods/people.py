"""auth.*, users.*, bots.*, team.*, oauth.v2.access, apps.connections.open: who is who."""

from __future__ import annotations

from bridge.playground.slack import shapes
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import SPECIAL, TIER_1, TIER_2, TIER_3, TIER_4
from bridge.playground.slack.methods.table import Arguments, method, page
from bridge.playground.slack.values import Json
from bridge.playground.slack.world import SlackWorld


@method("api.test", TIER_4, needs="none")
def api_test(_world: SlackWorld, args: Arguments) -> Json:
    if error := args.text("error"):
        raise SlackError(error, args=dict(args))
    return {"args": dict(args)}


@method("auth.test", SPECIAL)
def auth_test(world: SlackWorld, _args: Arguments) -> Json:
    return {
        "url": f"https://{world.domain}.slack.com/",
        "team": world.name,
        "user": world.bot.name,
        "team_id": world.team_id,
        "user_id": world.bot.id,
        "bot_id": world.bot.bot_id,
        **({"enterprise_id": world.organisation} if world.organisation else {}),
        "is_enterprise_install": bool(world.organisation),
    }


@method("auth.revoke", TIER_3)
def auth_revoke(world: SlackWorld, _args: Arguments) -> Json:
    if world.grants is not None:
        world.grants.revoke("token_revoked")
    return {"revoked": True}


@method("apps.connections.open", TIER_1, needs="app")
def open_connection(world: SlackWorld, _args: Arguments) -> Json:
    address = "ws" + world.base_url.removeprefix("http")
    return {"url": f"{address}/link/?ticket={world.deliveries.ticket()}&app_id={world.app_id}"}


@method("users.info", TIER_4, "users:read")
def user_info(world: SlackWorld, args: Arguments) -> Json:
    person = world.people.get(args.need("user"))
    if person is None:
        raise SlackError("user_not_found")
    return {"user": shapes.person_json(world, person)}


@method("users.list", TIER_2, "users:read")
def list_users(world: SlackWorld, args: Arguments) -> Json:
    found, cursor = page(list(world.people.values()), args, 1000, 1000)
    return {
        "members": [shapes.person_json(world, person) for person in found],
        "cache_ts": world.seconds(),
        "response_metadata": {"next_cursor": cursor},
    }


@method("bots.info", TIER_3, "users:read")
def bot_info(world: SlackWorld, args: Arguments) -> Json:
    wanted = args.text("bot") or world.bot.bot_id
    if all(person.bot_id != wanted for person in world.people.values()):
        raise SlackError("bot_not_found")
    return {"bot": shapes.bot_json(world, str(wanted))}


@method("team.info", TIER_3, "team:read")
def team_info(world: SlackWorld, _args: Arguments) -> Json:
    return {
        "team": {
            "id": world.team_id,
            "name": world.name,
            "url": f"https://{world.domain}.slack.com/",
            "domain": world.domain,
            "email_domain": "",
            "icon": {"image_default": True},
        }
    }


@method("oauth.v2.access", TIER_4, needs="none")
def oauth_access(world: SlackWorld, args: Arguments) -> Json:
    if args.text("client_id") != world.client_id:
        raise SlackError("invalid_client_id")
    if args.text("client_secret") != world.client_secret:
        raise SlackError("bad_client_secret")
    redirect_uri = world.oauth_codes.pop(args.text("code") or "", None)
    if redirect_uri is None:
        raise SlackError("invalid_code")
    if args.text("redirect_uri") not in (None, redirect_uri):
        raise SlackError("bad_redirect_uri")
    installer = next(person for person in world.people.values() if not person.is_bot)
    return {
        "access_token": world.bot_token,
        "token_type": "bot",
        "scope": ",".join(sorted(world.scopes)),
        "bot_user_id": world.bot.id,
        "app_id": world.app_id,
        "team": {"name": world.name, "id": world.team_id},
        "enterprise": None,
        "is_enterprise_install": False,
        "authed_user": {"id": installer.id},
    }
