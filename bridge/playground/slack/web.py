"""The HTTP side: Web API, uploads, downloads, response URLs, OAuth page and Socket Mode."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from dataclasses import replace
from urllib.parse import parse_qsl, quote, urlencode

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from adapters.testing.serving import hang_up
from bridge.playground.slack.errors import SlackError, TooManyRequests
from bridge.playground.slack.faults import DOWNLOAD, UPLOAD, Fault
from bridge.playground.slack.limits import COMMERCIAL
from bridge.playground.slack.methods import METHODS, Arguments, Method
from bridge.playground.slack.values import Call, Json
from bridge.playground.slack.world import SlackWorld

HISTORY_METHODS = ("conversations.history", "conversations.replies")
KEPT_CODES = 100  # of OAuth, not yet exchanged
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body>Sign in</body></html>"


def create_app(world: SlackWorld) -> Starlette:
    """The workspace as an ASGI app; mount it where you like. The Web API is below `/api/`."""
    served = Served(world)
    return Starlette(
        routes=[
            Route("/api/{method}", served.api, methods=["GET", "POST"]),
            Route("/upload/v1/{file}", served.upload, methods=["POST"]),
            Route("/files-pri/{file}/{path:path}", served.download),
            Route("/respond/{key}", served.respond, methods=["POST"]),
            Route("/respond/{key}/{ts}", served.respond, methods=["POST"]),
            Route("/oauth/v2/authorize", served.authorize),
            WebSocketRoute("/link/", served.link),
        ]
    )


class Served:
    """One workspace's side of HTTP."""

    def __init__(self, world: SlackWorld) -> None:
        self._world = world

    async def link(self, websocket: WebSocket) -> None:
        await self._world.deliveries.hold(websocket)

    async def api(self, request: Request) -> Response:
        name = request.path_params["method"]
        self._learn_base_url(request)
        try:
            args, token = await read(request)
        except ValueError:
            return JSONResponse({"ok": False, "error": "invalid_json"})
        faults = self._world.faults.take(name)
        for fault in faults:
            if fault.delay:
                await asyncio.sleep(fault.delay)
        failure = next((fault for fault in faults if not fault.delay), None)
        if failure is not None and not failure.after:
            return self._fail(request, name, args, failure)
        response = self._answer(name, args, token)
        if failure is not None:
            return self._fail(request, None, args, failure)
        return response

    def _answer(self, name: str, args: Arguments, token: str | None) -> Response:
        world = self._world
        error: str | None = None
        headers = {"x-slack-req-id": secrets.token_hex(16)}
        try:
            method = METHODS.get(name)
            if method is None:
                raise SlackError("unknown_method", req_method=name)
            self._authorize(method, token)
            if method.needs == "bot":
                headers["x-oauth-scopes"] = ",".join(sorted(world.scopes))
                headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
            channel = args.text("channel") or args.text("channel_id") or ""
            budget = COMMERCIAL if world.commercial and name in HISTORY_METHODS else method.budget
            world.limiter.spend(name, budget, channel)
            return JSONResponse({"ok": True, **method.handler(world, args)}, headers=headers)
        except SlackError as refusal:
            error = refusal.code
            return JSONResponse(refusal.body, headers=headers)
        except TooManyRequests as limit:
            error = "ratelimited"
            return _too_many(limit.retry_after)
        finally:
            world.record(Call(name, dict(args), world.clock(), error))

    def _authorize(self, method: Method, token: str | None) -> None:
        world = self._world
        if method.needs == "none":
            return
        if not token:
            raise SlackError("not_authed")
        trouble = world.token_trouble(token, method.needs)
        if trouble is not None:
            raise SlackError(trouble)
        if method.scopes and method.needs == "bot" and not world.scopes & set(method.scopes):
            raise SlackError("missing_scope", needed=method.scopes[0], provided=",".join(sorted(world.scopes)))

    def _fail(self, request: Request, name: str | None, args: Arguments, fault: Fault) -> Response:
        """Answer as the fault says. `name` records the call, if nothing else did."""
        if name is not None:
            error = fault.error or ("ratelimited" if fault.retry_after is not None else "fault")
            self._world.record(Call(name, dict(args), self._world.clock(), error))
        if fault.hang_up:
            hang_up(request.scope)
        if fault.retry_after is not None:
            return _too_many(fault.retry_after)
        if fault.error is not None:
            return JSONResponse({"ok": False, "error": fault.error})
        return PlainTextResponse("Something went wrong", status_code=fault.status or 500, media_type="text/html")

    # --- files -----------------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        world = self._world
        content = await _uploaded(request)
        failure = next(iter(world.faults.take(UPLOAD)), None)
        args = Arguments(file=request.path_params["file"], length=len(content))
        if failure is not None and failure.delay:
            await asyncio.sleep(failure.delay)
        elif failure is not None and not failure.after:
            return self._fail(request, UPLOAD, args, failure)
        expected = world.upload_lengths.get(args["file"])
        error = None if expected is not None else "file_not_found"
        if expected is not None and expected != len(content):
            error = "length_mismatch"
        world.record(Call(UPLOAD, dict(args), world.clock(), error))
        if error is not None:
            return PlainTextResponse(error, status_code=404 if expected is None else 400)
        del world.upload_lengths[args["file"]]
        file = world.files[args["file"]]
        world.files[file.id] = replace(file, content=content)
        if failure is not None and failure.after:
            return self._fail(request, None, args, failure)
        return PlainTextResponse(f"OK - {len(content)}")

    async def download(self, request: Request) -> Response:
        """The bytes for the bot's token with `files:read`; to anybody else Slack shows its login page."""
        world = self._world
        file_id = request.path_params["file"].rpartition("-")[2]
        args = Arguments(file=file_id)
        failure = next(iter(world.faults.take(DOWNLOAD)), None)
        if failure is not None and failure.delay:
            await asyncio.sleep(failure.delay)
        elif failure is not None:
            return self._fail(request, DOWNLOAD, args, failure)
        file = world.files.get(file_id)
        allowed = world.token_trouble(_bearer(request) or "", "bot") is None and "files:read" in world.scopes
        world.record(Call(DOWNLOAD, dict(args), world.clock(), None if allowed and file else "refused"))
        if not allowed:
            return Response(LOGIN_PAGE, media_type="text/html")
        if file is None:
            return Response(LOGIN_PAGE, status_code=404, media_type="text/html")
        disposition = f"attachment; filename*=UTF-8''{quote(file.name)}"
        return Response(file.content, media_type=file.media_type, headers={"content-disposition": disposition})

    # --- the rest --------------------------------------------------------------------------------------------

    async def respond(self, request: Request) -> Response:
        """A response_url: the app answers to a command or a click."""
        world = self._world
        key = request.path_params["key"]
        known = world.responses.get(key)
        until, uses = world.response_uses.get(key, (0.0, 0))
        if known is None or not uses:
            return PlainTextResponse("used_url", status_code=404)
        if world.clock() > until:
            return PlainTextResponse("expired_url", status_code=404)
        world.response_uses[key] = (until, uses - 1)
        channel_id, thread_ts, user = known
        body: Json = await request.json()
        world.record(Call("response_url", body, world.clock(), None))
        ts = request.path_params.get("ts")
        channel = world.channels[channel_id]
        target = world.ephemerals.get(ts or "") or channel.messages.get(ts or "")
        if target is not None and body.get("delete_original"):
            if target.ephemeral_for:
                world.hide_ephemeral(target)
            else:
                world.remove(target)
        elif target is not None and body.get("replace_original"):
            blocks = world.named_blocks(body.get("blocks", []))
            changed = replace(target, text=str(body.get("text", "")), blocks=blocks)
            if target.ephemeral_for:
                world.show_ephemeral(changed)
            else:
                world.change(changed)
        else:
            world.respond(channel, thread_ts, user, body)
        return PlainTextResponse("ok")

    async def authorize(self, request: Request) -> Response:
        """The page on which a person installs the app; here everybody agrees at once."""
        world = self._world
        query = request.query_params
        if query.get("client_id") != world.client_id:
            return PlainTextResponse("invalid_client_id", status_code=400)
        code = secrets.token_hex(12)
        while len(world.oauth_codes) >= KEPT_CODES:
            world.oauth_codes.pop(next(iter(world.oauth_codes)))
        world.oauth_codes[code] = query.get("redirect_uri", "")
        answer = urlencode({"code": code, "state": query.get("state", "")})
        return RedirectResponse(f"{query.get('redirect_uri', '')}?{answer}", status_code=302)

    def _learn_base_url(self, connection: HTTPConnection) -> None:
        if not self._world.base_url_is_given:
            url = connection.url
            self._world.base_url = f"{url.scheme}://{url.netloc}{connection.scope.get('root_path', '')}"


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def _basic(request: Request) -> dict[str, str]:
    """The app's id and secret, which oauth.v2.access takes by HTTP Basic too. Raises `ValueError`."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    client_id, _, client_secret = base64.b64decode(credentials).decode().partition(":")
    return {"client_id": client_id, "client_secret": client_secret}


async def read(request: Request) -> tuple[Arguments, str | None]:
    """The arguments of a call and its token. Raises `ValueError` for a body that isn't JSON though it says so."""
    args = Arguments(request.query_params)
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/json"):
        body = await request.body()
        given = json.loads(body) if body else {}
        if not isinstance(given, dict):
            raise ValueError("not an object")
        args.update(given)
    elif content_type.startswith("multipart/form-data"):
        async with request.form() as form:
            args.update({name: value for name, value in form.items() if isinstance(value, str)})
    else:
        args.update(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    args.update(_basic(request))
    given_token = args.pop("token", None)
    return args, _bearer(request) or given_token


async def _uploaded(request: Request) -> bytes:
    """An upload's bytes: the body itself, or the one file of a form."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    async with request.form() as form:
        for value in form.values():
            if not isinstance(value, str):
                return await value.read()
    return b""


def _too_many(retry_after: int) -> Response:
    return JSONResponse(
        {"ok": False, "error": "ratelimited"}, status_code=429, headers={"Retry-After": str(retry_after)}
    )
