"""Several workspaces with one app: each installs it by OAuth, and has tokens of its own.

They may have the same ids of channels and people. Those of one organisation may not: Slack has each id there once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from bridge.playground.slack.delivery import Deliveries
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.grants import Grant, Grants
from bridge.playground.slack.methods import Arguments
from bridge.playground.slack.permissions import SCOPES
from bridge.playground.slack.values import Json
from bridge.playground.slack.web import Served, create_app, read
from bridge.playground.slack.world import SlackWorld

CODE_SECONDS = 600.0  # of a code's life (documented)
DENIED = ""  # as a choice: the person doesn't allow it


@dataclass(slots=True)
class Code:
    """What a person allowed, until it is exchanged."""

    place: str
    scopes: frozenset[str]
    redirect_uri: str
    until: float
    used: bool = False


class Teams:
    """`token_seconds`: how long tokens live, None of an app without token rotation. `choice` is the workspace, or the
    organisation, that the next person chooses who installs the app."""

    def __init__(self, *teams: SlackWorld, redirect_urls: Iterable[str] = (), organisation: str = "") -> None:
        first = teams[0]
        self.worlds: dict[str, SlackWorld] = {}
        self.redirect_urls = set(redirect_urls)
        self.token_seconds: float | None = None
        self.choice = DENIED
        self.organisation = organisation
        self.refused = 0  # refresh tokens that were used up, or never good
        self.codes: dict[str, Code] = {}
        self.asked: list[dict[str, str]] = []  # of the page on which people allow it
        self.grants: dict[str, Grants] = {}
        self.client_id, self.client_secret = first.client_id, first.client_secret
        self.clock = first.clock
        self.deliveries: Deliveries = first.deliveries
        for index, world in enumerate(teams, 1):
            world.join(f"T0TEAM{index}", first, organisation)
            self.worlds[world.team_id] = world
            world.grants = self._grants_of(organisation or world.team_id)

    def _grants_of(self, place: str) -> Grants:
        if place not in self.grants:
            self.grants[place] = Grants(self.clock)
        return self.grants[place]

    def of(self, place: str) -> list[SlackWorld]:
        """The workspace, or those of the organisation."""
        return [self.worlds[place]] if place in self.worlds else list(self.worlds.values())

    def uninstall(self, place: str, *, told: bool = True) -> None:
        """An admin removes the app. `told`: the app hears of it, in the order that Slack doesn't promise."""
        self.grants[place].revoke("account_inactive")
        world = self.of(place)[0]
        if told:
            revoked = {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [world.bot.id]}}
            world.emit("tokens_revoked", None, revoked | {"event_ts": world.new_ts()})
            world.emit("app_uninstalled", None, {"type": "app_uninstalled", "event_ts": world.new_ts()})

    # --- the page, and what its code is good for --------------------------------------------------------------

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        scopes = frozenset(asked.get("scope", "").split(","))
        redirect_uri = asked.get("redirect_uri", "")
        if asked.get("client_id") != self.client_id:
            return PlainTextResponse("Invalid client_id parameter", status_code=400)
        if not scopes <= SCOPES or "" in scopes:
            return PlainTextResponse("Invalid permissions requested", status_code=400)
        if redirect_uri not in self.redirect_urls:
            return PlainTextResponse("redirect_uri did not match any configured URIs", status_code=400)
        if self.choice == DENIED:
            answer = {"error": "access_denied", "state": asked.get("state", "")}
        else:
            code = secrets.token_hex(12)
            until = self.clock() + CODE_SECONDS
            self.codes[code] = Code(self.choice, scopes, redirect_uri, until)
            answer = {"code": code, "state": asked.get("state", "")}
        return RedirectResponse(f"{redirect_uri}?{urlencode(answer)}", status_code=302)

    def access(self, args: Arguments) -> Json:
        """`oauth.v2.access`."""
        if args.text("client_id") != self.client_id:
            raise SlackError("invalid_client_id")
        if args.text("client_secret") != self.client_secret:
            raise SlackError("bad_client_secret")
        match args.text("grant_type"):
            case None | "authorization_code":
                code = self._code(args)
                return self._answer(code.place, self._installed(code))
            case "refresh_token":
                return self._refresh(args.text("refresh_token") or "")
            case _:
                raise SlackError("invalid_grant_type")

    def _code(self, args: Arguments) -> Code:
        code = self.codes.get(args.text("code") or "")
        if code is None or self.clock() > code.until:
            raise SlackError("invalid_code")
        if args.text("redirect_uri") != code.redirect_uri:
            raise SlackError("bad_redirect_uri")
        if code.used:
            raise SlackError("code_already_used")
        code.used = True
        return code

    def _installed(self, code: Code) -> Grant:
        for world in self.of(code.place):
            world.scopes = set(code.scopes)
        return self.grants[code.place].issue(self.token_seconds)

    def _refresh(self, token: str) -> Json:
        for place, grants in self.grants.items():
            if self.token_seconds is not None and grants.may_refresh(token):
                return self._answer(place, grants.refresh(token, self.token_seconds))
        self.refused += 1
        raise SlackError("invalid_refresh_token")

    def _answer(self, place: str, grant: Grant) -> Json:
        world = self.of(place)[0]
        org = place == self.organisation != ""
        installer = next(person for person in world.people.values() if not person.is_bot)
        enterprise = {"id": self.organisation, "name": "Organisation"} if self.organisation else None
        answer: Json = {
            "access_token": grant.token,
            "token_type": "bot",
            "scope": ",".join(sorted(world.scopes)),
            "bot_user_id": world.bot.id,
            "app_id": world.app_id,
            "team": None if org else {"name": world.name, "id": world.team_id},
            "enterprise": enterprise,
            "is_enterprise_install": org,
            "authed_user": {"id": installer.id},
        }
        if grant.refresh:
            answer |= {"refresh_token": grant.refresh, "expires_in": round(grant.until - self.clock())}
        return answer

    # --- which workspace a call is for ------------------------------------------------------------------------

    def world_of(self, token: str, args: Arguments) -> SlackWorld | None:
        place = next((place for place, grants in self.grants.items() if grants.has(token)), None)
        if place is None:
            return None
        worlds = self.of(place)
        named = {str(args.get(name)) for name in ("channel", "channel_id", "user", "user_id", "users", "file")}
        return next((one for one in worlds if named & (one.channels.keys() | one.people.keys())), worlds[0])


def create_teams_app(teams: Teams, url: str) -> Starlette:
    """All of them as one ASGI app, which is served at this address."""
    for team, world in teams.worlds.items():
        world.base_url, world.base_url_is_given = f"{url}/{team}", True
    first = next(iter(teams.worlds.values()))
    each = {team: Served(world) for team, world in teams.worlds.items()}

    async def api(request: Request) -> Response:
        name = request.path_params["method"]
        args, token = await read(request)
        if name == "oauth.v2.access":
            faults = first.faults.take(name)
            if faults:
                return JSONResponse({"ok": False, "error": faults[0].error or "internal_error"})
            try:
                return JSONResponse({"ok": True, **teams.access(args)})
            except SlackError as refusal:
                return JSONResponse(refusal.body)
        if token == first.app_token:
            return await each[first.team_id].api(request)
        world = teams.world_of(token or "", args)
        if world is None:
            return JSONResponse({"ok": False, "error": "invalid_auth" if token else "not_authed"})
        return await each[world.team_id].api(request)

    return Starlette(
        routes=[
            Route("/api/{method}", api, methods=["GET", "POST"]),
            Route("/oauth/v2/authorize", teams.authorize),
            WebSocketRoute("/link/", each[first.team_id].link),
            *(Mount(f"/{team}", create_app(world)) for team, world in teams.worlds.items()),
        ]
    )
