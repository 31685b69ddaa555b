"""The page's own requests: its state, its live feed, what the person at it does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, select_autoescape
from sse_starlette.sse import EventSourceResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bridge.playground.page.views import ChangeView, PlatformView

HERE = Path(__file__).parent
MAX_FILE_BYTES = 10 * 1024 * 1024  # one dropped file; Discord's own limit
MAX_WAITING = 1_000  # changes kept for a slow page; then it is told to read everything anew


def page_routes(platforms: Mapping[str, PlatformView]) -> list[BaseRoute]:
    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
    html = templates.get_template("page.html").render(platforms=list(platforms))

    def platform_of(request: Request) -> PlatformView:
        try:
            return platforms[request.path_params["platform"]]
        except KeyError:
            raise HTTPException(404) from None

    async def page(_request: Request) -> Response:
        return HTMLResponse(html)

    async def feed(_request: Request) -> Response:
        return EventSourceResponse(_feed(platforms))

    async def say(request: Request) -> Response:
        async with request.form(max_part_size=MAX_FILE_BYTES) as form:
            files = []
            for item in form.getlist("files"):
                if isinstance(item, UploadFile) and item.filename:
                    media_type = item.content_type or "application/octet-stream"
                    files.append((item.filename, media_type, await item.read(MAX_FILE_BYTES + 1)))
            if any(len(content) > MAX_FILE_BYTES for _, _, content in files):
                return JSONResponse({"error": "A file here may have 10 MB."}, status_code=413)
            text = str(form.get("text", ""))
            if not text.strip() and not files:
                return JSONResponse({"error": "There is nothing to send."}, status_code=400)
            await platform_of(request).say(str(form.get("channel", "")), str(form.get("thread", "")), text, files)
        return Response(status_code=204)

    async def press(request: Request) -> Response:
        body = await request.json()
        await platform_of(request).press(str(body["message"]), str(body["button"]))
        return Response(status_code=204)

    async def file(request: Request) -> Response:
        try:
            name, media_type, content = platform_of(request).file(request.path_params["file"])
        except KeyError:
            raise HTTPException(404) from None
        disposition = f"attachment; filename*=UTF-8''{quote(name)}"
        headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
        return Response(content, media_type=media_type, headers=headers)

    return [
        Route("/", page),
        Route("/feed", feed),
        Route("/say/{platform}", say, methods=["POST"]),
        Route("/press/{platform}", press, methods=["POST"]),
        Route("/file/{platform}/{file}", file),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]


async def _feed(platforms: Mapping[str, PlatformView]) -> AsyncIterator[dict[str, str]]:
    """The whole state first, then every change; growing texts that pile up are told once."""
    waiting: dict[object, ChangeView] = {}
    arrived = asyncio.Event()

    def put(change: ChangeView) -> None:
        message = change.get("message")
        key = (change["platform"], message["id"]) if message else object()
        if len(waiting) < MAX_WAITING or key in waiting:
            waiting[key] = change
        arrived.set()

    watching = [asyncio.create_task(platform.changes(put)) for platform in platforms.values()]
    try:
        for platform in platforms.values():
            put({"platform": platform.platform, "server": platform.server()})
        while True:
            await arrived.wait()
            arrived.clear()
            changes = list(waiting.values())
            waiting.clear()
            for change in changes:
                yield {"data": json.dumps(change)}
    finally:
        for task in watching:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(watching)
