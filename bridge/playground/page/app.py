"""The page's own requests: its state, its live feed, what the person at it does."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, select_autoescape
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bridge.playground.page.commands import Typed, Used
from bridge.playground.page.dialogs import Given
from bridge.playground.page.feed import Feed, feed
from bridge.playground.page.guard import SameOrigin
from bridge.playground.page.rooms import Scene
from bridge.playground.page.troubles import Trouble, views_of
from bridge.playground.page.views import CantDo, PlatformView, Speaks, Stops, Tabs, TallyView

HERE = Path(__file__).parent
MAX_FILE_BYTES = 10 * 1024 * 1024  # one dropped file; Discord's own limit
MAX_FILES = 10  # of one message; Discord's own limit
MAX_BODY = MAX_FILES * MAX_FILE_BYTES + 1024 * 1024
MAX_SPOKEN = 2_000  # characters of a voice note
MAX_TEXT_BYTES = 64 * 1024  # of a form's field
MAX_FEEDS = 10  # pages open at once
CURTAIN = 1.0  # seconds that a first visitor looks at an empty channel
SEND_SECONDS = 30.0  # a page that takes nothing for so long is let go; it connects again
MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
ANY_BYTES = "application/octet-stream"


def create_page(
    platforms: Mapping[str, PlatformView],
    troubles: Mapping[str, Mapping[str, Trouble]],
    asked: Callable[[], int],
    over: asyncio.Event,
    scene: Scene | None = None,
) -> Starlette:
    """The page as an app. `troubles` by the platform or agent that they befall; `asked` counts the questions
    that agents took; `over` ends the feeds; `scene` is played on each platform when the first page looks."""
    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
    html = templates.get_template("page.html").render(
        platforms=list(platforms), troubles=json.dumps(views_of(troubles))
    )
    feeds: set[Feed] = set()
    playing: list[asyncio.Task[None]] = []

    def tally() -> TallyView:
        now = time.monotonic()
        replies = [platform.replies(now) for platform in platforms.values()]
        return {
            "written": sum(platform.written for platform in platforms.values()),
            "repeated": sum(platform.repeated for platform in platforms.values()),
            "asked": asked(),
            "replied": sum(one.ended for one in replies),
            "twice": sum(one.twice for one in replies),
        }

    def platform_of(request: Request) -> PlatformView:
        try:
            return platforms[request.path_params["platform"]]
        except KeyError:
            raise HTTPException(404) from None

    async def page(_request: Request) -> Response:
        return HTMLResponse(html)

    async def play(scene: Scene) -> None:
        await asyncio.sleep(CURTAIN)
        for platform in platforms.values():
            if not platform.written:
                await platform.play(scene)

    async def follow(_request: Request) -> Response:
        if scene is not None and not playing:
            playing.append(asyncio.create_task(play(scene)))
        if len(feeds) >= MAX_FEEDS:
            raise HTTPException(503, f"{MAX_FEEDS} pages are open already; close one.")
        return EventSourceResponse(counted(), send_timeout=SEND_SECONDS)

    async def counted() -> Feed:
        async with aclosing(feed(platforms, tally, over)) as events:
            feeds.add(events)
            try:
                async for event in events:
                    yield event
            finally:
                feeds.discard(events)

    async def say(request: Request) -> Response:
        async with _form_of(request) as form:
            text, files = _text(form, "text"), await _files(form)
            if not text.strip() and not files:
                raise CantDo("There is nothing to send.")
            await platform_of(request).say(_text(form, "channel"), _text(form, "thread"), text, files)
        return Response(status_code=204)

    async def speak(request: Request) -> Response:
        platform = platform_of(request)
        if not isinstance(platform, Speaks):
            raise HTTPException(404)
        async with request.form() as form:
            words = _text(form, "text").strip()[:MAX_SPOKEN]
            if not words:
                raise CantDo("Write what is to be said, and it goes out as a voice note.")
            await platform.speak(_text(form, "channel"), _text(form, "thread"), words)
        return Response(status_code=204)

    async def press(request: Request) -> Response:
        async with request.form() as form:
            opened = await platform_of(request).press(
                _text(form, "message"), _text(form, "button"), _text(form, "value")
            )
        return JSONResponse(opened)

    async def react(request: Request) -> Response:
        async with request.form() as form:
            await platform_of(request).react(_text(form, "message"), _text(form, "emoji"))
        return Response(status_code=204)

    async def fill_in(request: Request) -> Response:
        async with request.form(max_part_size=MAX_TEXT_BYTES) as form:
            await platform_of(request).fill_in(_text(form, "form"), _text(form, "words"))
        return Response(status_code=204)

    async def menu(request: Request) -> Response:
        return JSONResponse(platform_of(request).commands.menu())

    async def command(request: Request) -> Response:
        platform = platform_of(request)
        async with _form_of(request) as form:
            return _used(platform, await platform.commands.use(await _typed(form)))

    async def complete(request: Request) -> Response:
        async with _form_of(request) as form:
            names = await platform_of(request).commands.complete(await _typed(form), _text(form, "option"))
        return JSONResponse({"choices": list(names)})

    async def submit(request: Request) -> Response:
        platform = platform_of(request)
        async with _form_of(request) as form:
            texts = {name: value for name, value in form.items() if isinstance(value, str)}
            files = {name: await _files(form, name) for name, value in form.items() if not isinstance(value, str)}
            return _used(platform, await platform.commands.submit(_text(form, "dialog"), Given(texts, files)))

    async def leave(request: Request) -> Response:
        async with _form_of(request) as form:
            await platform_of(request).commands.leave(_text(form, "dialog"))
        return Response(status_code=204)

    async def shortcut(request: Request) -> Response:
        platform = platform_of(request)
        async with _form_of(request) as form:
            used = await platform.commands.shortcut(_text(form, "message"), _text(form, "name"))
        return _used(platform, used)

    async def stop(request: Request) -> Response:
        platform = platform_of(request)
        if not isinstance(platform, Stops):
            raise HTTPException(404)
        async with request.form() as form:
            await platform.stop(_text(form, "channel"), _text(form, "thread"))
        return Response(status_code=204)

    def tabs_of(request: Request) -> Tabs:
        platform = platform_of(request)
        if not isinstance(platform, Tabs):
            raise HTTPException(404)
        return platform

    async def open_tab(request: Request) -> Response:
        async with request.form() as form:
            await tabs_of(request).open(_text(form, "tab"))
        return Response(status_code=204)

    async def press_home(request: Request) -> Response:
        async with request.form() as form:
            await tabs_of(request).press_home(_text(form, "button"))
        return Response(status_code=204)

    async def use_prompt(request: Request) -> Response:
        async with request.form() as form:
            await tabs_of(request).use_prompt(_text(form, "title"))
        return Response(status_code=204)

    async def cause(request: Request) -> Response:
        place, name = request.path_params["place"], request.path_params["trouble"]
        try:
            trouble = troubles[place][name]
        except KeyError:
            raise HTTPException(404) from None
        trouble.cause()
        return JSONResponse({"said": trouble.said})

    async def file(request: Request) -> Response:
        try:
            name, media_type, content = platform_of(request).file(request.path_params["file"])
        except KeyError:
            raise HTTPException(404) from None
        kind = media_type if MEDIA_TYPE.fullmatch(media_type) else ANY_BYTES
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Content-Type": kind,
        }
        return Response(content, headers=headers)

    routes = [
        Route("/", page),
        Route("/feed", follow),
        Route("/say/{platform}", say, methods=["POST"]),
        Route("/speak/{platform}", speak, methods=["POST"]),
        Route("/press/{platform}", press, methods=["POST"]),
        Route("/commands/{platform}", menu),
        Route("/command/{platform}", command, methods=["POST"]),
        Route("/complete/{platform}", complete, methods=["POST"]),
        Route("/submit/{platform}", submit, methods=["POST"]),
        Route("/leave/{platform}", leave, methods=["POST"]),
        Route("/shortcut/{platform}", shortcut, methods=["POST"]),
        Route("/react/{platform}", react, methods=["POST"]),
        Route("/fill-in/{platform}", fill_in, methods=["POST"]),
        Route("/stop/{platform}", stop, methods=["POST"]),
        Route("/open/{platform}", open_tab, methods=["POST"]),
        Route("/home/{platform}", press_home, methods=["POST"]),
        Route("/prompt/{platform}", use_prompt, methods=["POST"]),
        Route("/break/{place}/{trouble}", cause, methods=["POST"]),
        Route("/file/{platform}/{file}", file),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(SameOrigin)], exception_handlers={CantDo: _cant_do})


async def _cant_do(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=409)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


@asynccontextmanager
async def _form_of(request: Request) -> AsyncIterator[FormData]:
    if int(request.headers.get("content-length", 0)) > MAX_BODY:
        raise CantDo(f"That is too much for one message: {MAX_FILES} files of 10 MB each.")
    async with request.form(max_files=MAX_FILES, max_part_size=MAX_TEXT_BYTES) as form:
        yield form


async def _typed(form: FormData) -> Typed:
    """A command: its options are the fields that begin with a colon."""
    named = {name.removeprefix(":"): value for name, value in form.items() if name.startswith(":")}
    files = {
        name: (await _files(form, f":{name}"))[:1] for name, value in named.items() if not isinstance(value, str)
    }
    return Typed(
        _text(form, "channel"),
        _text(form, "thread"),
        _text(form, "name"),
        _text(form, "text"),
        {name: value for name, value in named.items() if isinstance(value, str) and value},
        {name: found[0] for name, found in files.items() if found},
    )


def _used(platform: PlatformView, used: Used) -> Response:
    platform.written += used.written
    platform.repeated += used.repeated
    return JSONResponse({"dialog": used.dialog})


async def _files(form: FormData, name: str = "files") -> list[tuple[str, str, bytes]]:
    files = []
    for item in form.getlist(name):
        if isinstance(item, UploadFile) and item.filename:
            content = await item.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                raise CantDo(f"{item.filename} is too large: a file here may have 10 MB.")
            kind = item.content_type or ""
            files.append((item.filename, kind if MEDIA_TYPE.fullmatch(kind) else ANY_BYTES, content))
    return files
