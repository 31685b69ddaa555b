"""Serves attachments by their signed addresses."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bridge.playground.discord.model import Call
from bridge.playground.discord.rest import meet
from bridge.playground.discord.state import State

GONE = "This content is no longer available."


class Cdn:
    """Its downloads are recorded among the calls, and meet faults, as `GET /attachments/*/*/*`."""

    def __init__(self, world: State) -> None:
        self._world = world

    async def serve(self, request: Request) -> Response:
        world = self._world
        kind, params = request.path_params["kind"], request.path_params
        path = f"/{kind}/{params['channel']}/{params['attachment']}/{params['name']}"
        call = Call("GET", path, world.clock(), dict(request.query_params))
        world.record(call)
        response = await meet(request, call, world.faults.take(f"GET {path}"))
        if response is None:
            response = self._file(params["attachment"], call)
        world.stir()
        return response

    def _file(self, attachment_id: int, call: Call) -> Response:
        kept = self._world.files.read(attachment_id)
        if kept is None or not self._world.files.may_read(attachment_id, call.query):
            call.status = 404
            return PlainTextResponse(GONE, 404)
        call.status = 200
        media_type, data = kept
        return Response(data, media_type=media_type, headers={"X-Content-Type-Options": "nosniff"})
