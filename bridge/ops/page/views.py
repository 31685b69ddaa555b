"""`/ops/`: each view is read, then drawn by its template, or given as JSON to a script that asks for it.

Nothing is shown or done without the token, or a session that it opened; nothing is done for a browser but by a form of
this page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bridge.ops.page import words
from bridge.ops.page.checks import AgentChecks
from bridge.ops.page.deeds import Deeds
from bridge.ops.page.drawing import HEIGHT, WIDTH, drawn
from bridge.ops.page.guard import TooMuch, comes_from, is_own_page, is_public, read_form
from bridge.ops.page.looks import Away, Looks, in_time
from bridge.ops.page.search import MAX_QUERY, wanted
from bridge.ops.page.session import LASTS, Session, Sessions, Tries
from bridge.settings import HttpSettings
from bridge.store.audit import OPERATORS_PAGE
from bridge.store.tables import SECOND, now
from bridge.store.watching import COUNTED, ENDED, LARGEST, PAGE, Cursor, WatchedThread, WatchedTurn, Watching

HERE = Path(__file__).parent
COOKIE = "threadbridge_ops"
PATH = "/ops/"
FEW = 8  # rows of what has a view of its own

AWAY = "The database doesn't answer at present. What is shown here is what this process knows by itself."
NOT_THIS_PAGE = "Only a form of this page can do that. Open the page anew and try again."
WRONG = "That isn't the token. It is `http.ops_token` of the settings."
PAUSE = "Too many wrong tries. Wait {seconds} s and try again."
BROKEN = "That didn't work; the log has why."

_TURN = re.compile(r"[0-9a-f]{1,16}")
_CURSOR = re.compile(r"([0-9]{1,19})-([0-9a-f]{1,16}|~)-([0-9]{1,19})")
_NUMBERS = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_WITHIN = re.compile(r"[\w/.:?=&%+-]{0,300}", re.ASCII)  # where somebody wanted to go, below the page

log = structlog.get_logger()

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    session: Session | None  # None: a script with the token in its header


class Views:
    def __init__(
        self,
        http: HttpSettings,
        sessions: Sessions,
        looks: Looks,
        watching: Watching,
        checks: AgentChecks,
        deeds: Deeds,
        doing: Callable[[str], str],
        replica: str,
    ) -> None:
        self._http = http
        self._sessions = sessions
        self._tries = Tries()
        self._looks = looks
        self._watching = watching
        self._checks = checks
        self._deeds = deeds
        self._doing = doing
        self._replica = replica
        self._templates = _templates()

    def routes(self) -> list[Route]:
        """Below the page's address."""
        return [
            Route("/", self._view(self._overview), methods=["GET"]),
            Route("/turns", self._view(self._turns), methods=["GET"]),
            Route("/turns/{turn}", self._view(self._turn), methods=["GET"]),
            Route("/turns/{turn}/retry", self._deed(self._retry), methods=["POST"]),
            Route("/turns/{turn}/stop", self._deed(self._stop), methods=["POST"]),
            Route("/threads", self._view(self._threads), methods=["GET"]),
            Route("/threads/{thread}", self._view(self._thread), methods=["GET"]),
            Route("/system", self._view(self._system), methods=["GET"]),
            Route("/system/check", self._deed(self._check), methods=["POST"]),
            Route("/sign-in", self._answered(self._sign_in), methods=["POST"]),
            Route("/sign-out", self._deed(self._sign_out), methods=["POST"]),
        ]

    # --- who asks -------------------------------------------------------------------------------------------

    def _caller(self, request: Request) -> Caller | None:
        """None for nobody that is known. Raises `HTTPException` for a wrong token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self._try(request, given.strip())
            return Caller(None)
        session = self._sessions.read(request.cookies.get(COOKIE, ""))
        return None if session is None else Caller(session)

    def _try(self, request: Request, given: str) -> None:
        address = comes_from(request)
        pause = math.ceil(self._tries.pause(address))
        if pause:
            raise HTTPException(429, PAUSE.format(seconds=pause), {"Retry-After": str(pause)})
        if not self._sessions.is_token(given):
            self._tries.wrong(address)
            log.warning("operator's page: wrong token", address=address)
            raise HTTPException(401, WRONG, {"WWW-Authenticate": "Bearer"})
        self._tries.right(address)

    def _answered(
        self, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Nobody outside reads a traceback."""

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                return self._refused(request, error)
            except TooMuch:
                return self._refused(request, HTTPException(400, NOT_THIS_PAGE))
            except Away:
                return self._refused(request, HTTPException(503, AWAY.partition(". ")[0] + "."))
            except Exception:
                log.exception("operator's page failed")
                return self._refused(request, HTTPException(500, BROKEN))

        return handler

    def _view(
        self, look: Callable[[Request], Awaitable[tuple[str, Data]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request) -> Response:
            caller = self._caller(request)
            if caller is None:
                return self._sign_in_page(request, 401, to=_below(request))
            template, data = await look(request)
            return self._drawn(request, template, data, caller)

        return self._answered(handler)

    def _deed(
        self, do: Callable[[Request, Caller], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request) -> Response:
            caller = self._caller(request)
            if caller is None:
                return self._sign_in_page(request, 401)
            form = await read_form(request)
            if caller.session is not None and not (
                is_own_page(request, self._http.public_url)
                and self._sessions.is_proof(caller.session, form.get("proof", ""))
            ):
                raise HTTPException(403, NOT_THIS_PAGE)
            return await do(request, caller)

        return self._answered(handler)

    # --- in and out -----------------------------------------------------------------------------------------

    async def _sign_in(self, request: Request) -> Response:
        if not is_own_page(request, self._http.public_url):
            raise HTTPException(403, NOT_THIS_PAGE)
        form = await read_form(request)
        to = form.get("to", "")
        to = to if _WITHIN.fullmatch(to) else ""
        try:
            self._try(request, form.get("token", ""))
        except HTTPException as error:
            headers = {name: value for name, value in (error.headers or {}).items() if name == "Retry-After"}
            return self._sign_in_page(request, error.status_code, to=to, trouble=error.detail, headers=headers)
        await self._deeds.signed_in(comes_from(request))
        response = RedirectResponse(self._root(request) + to, 303)
        response.set_cookie(COOKIE, self._sessions.begin(), max_age=LASTS, **self._cookie(request))
        return response

    async def _sign_out(self, request: Request, caller: Caller) -> Response:
        if caller.session is not None:
            self._sessions.end(caller.session)
        response = RedirectResponse(self._root(request), 303)
        response.delete_cookie(COOKIE, **self._cookie(request))
        return response

    def _sign_in_page(
        self,
        request: Request,
        status: int,
        *,
        to: str = "",
        trouble: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        if _wants_json(request):
            return _json(
                {"error": "the token of the settings, http.ops_token, is needed as a bearer token"}, status
            )
        html = self._templates.get_template("sign_in.html").render(
            root=self._root(request), to=to, trouble=trouble, hours=LASTS // 3600
        )
        return HTMLResponse(html, status, headers)

    def _cookie(self, request: Request) -> dict[str, Any]:
        secure = request.url.scheme == "https" or self._http.public_url.startswith("https:")
        return {"path": self._root(request), "secure": secure, "httponly": True, "samesite": "strict"}

    def _root(self, request: Request) -> str:
        """The page's path as the browser knows it: a proxy may have taken something off its front."""
        public = self._http.public_url
        return (urlsplit(public).path if is_public(request, public) else "") + PATH

    # --- views ----------------------------------------------------------------------------------------------

    async def _overview(self, _request: Request) -> tuple[str, Data]:
        data: dict[str, Any] = {"away": False, "under_way": None, "failed": (), "hour": None, "cut": False}
        try:
            data["under_way"] = await self._looks.under_way()
            data["failed"] = await in_time(self._watching.turns("failed", Cursor(), FEW))
            data["hour"], data["cut"] = await self._looks.hour()
        except Away:
            data["away"] = True
        data["agents"] = self._looks.agents(data["hour"])
        data["platforms"] = self._looks.platforms()
        data["not_ready"] = await self._looks.not_ready()
        return "overview.html", data

    async def _turns(self, request: Request) -> tuple[str, Data]:
        state = request.query_params.get("state") or None
        if state is not None and state not in words.STATES:
            raise HTTPException(404, "There is no such state of a turn.")
        turns = await in_time(self._watching.turns(state, _cursor(request), PAGE + 1))
        return "turns.html", {"state": state, **_page(turns)}

    async def _turn(self, request: Request) -> tuple[str, Data]:
        turn = await self._turn_of(request)
        shown = self._http.ops_text and request.query_params.get("text") == "1"
        written = await in_time(self._watching.written(turn.id, OPERATORS_PAGE)) if shown else None
        if shown:
            log.info("operator read a turn's text", turn=turn.id)
        data = {"turn": turn, "written": written, "may_read": self._http.ops_text}
        return "turn.html", data | {"why_not": words.why_not(turn), "doing": self._doing(turn.id)}

    async def _threads(self, request: Request) -> tuple[str, Data]:
        query = request.query_params.get("q", "")[:MAX_QUERY].strip()
        at, before = _numbers(request)
        if not query:
            names = [one.name for one in self._looks.platforms()]
            threads = await in_time(self._watching.threads(names, at, before, PAGE + 1))
            more = threads[PAGE - 1] if len(threads) > PAGE else None
            return "threads.html", _found(query, threads, f"{more.touched_at}-{more.id}" if more else "")
        asked = wanted(query)
        if asked is None:
            return "threads.html", _found(query, (), "")
        if asked.turn is not None:
            turn = await in_time(self._watching.turn(asked.turn))
            thread = None if turn is None else await in_time(self._watching.thread(turn.thread_id))
            return "threads.html", _found(query, (thread,) if thread else (), "")
        channel = asked.channel if asked.either or asked.thread is None else None
        threads = await in_time(self._watching.threads_of(channel, asked.thread, before, PAGE + 1))
        if not asked.either and asked.thread is not None:
            threads = [one for one in threads if one.channel == asked.channel]
        more = threads[PAGE - 1] if len(threads) > PAGE else None
        return "threads.html", _found(query, threads, f"0-{more.id}" if more else "")

    async def _thread(self, request: Request) -> tuple[str, Data]:
        given = request.path_params["thread"]
        number = int(given) if re.fullmatch(r"[0-9]{1,18}", given) else 0
        thread = await in_time(self._watching.thread(number))
        if thread is None:
            raise HTTPException(404, "There is no such thread.")
        turns = await in_time(self._watching.turns_of(number, _cursor(request), PAGE + 1))
        return "thread.html", {"thread": thread, **_page(turns)}

    async def _system(self, _request: Request) -> tuple[str, Data]:
        data: dict[str, Any] = {"away": False, "replicas": (), "budgets": (), "audited": (), "hour": None}
        try:
            data["replicas"] = await self._looks.replicas()
            data["budgets"] = await self._looks.budgets()
            data["audited"] = await self._looks.audited()
            data["hour"], _ = await self._looks.hour()
        except Away:
            data["away"] = True
        data["agents"] = self._looks.agents(data["hour"])
        data["looking"] = self._checks.is_looking
        data["platforms"] = self._looks.platforms()
        data["not_ready"] = await self._looks.not_ready()
        data["this_replica"] = self._replica
        return "system.html", data

    async def _turn_of(self, request: Request) -> WatchedTurn:
        given = request.path_params["turn"]
        turn = await in_time(self._watching.turn(given)) if _TURN.fullmatch(given) else None
        if turn is None:
            raise HTTPException(404, "There is no such turn.")
        return turn

    # --- deeds ----------------------------------------------------------------------------------------------

    async def _retry(self, request: Request, _caller: Caller) -> Response:
        return await self._done(request, self._deeds.retry)

    async def _stop(self, request: Request, _caller: Caller) -> Response:
        return await self._done(request, self._deeds.stop)

    async def _done(self, request: Request, do: Callable[[WatchedTurn], Awaitable[str]]) -> Response:
        turn = await self._turn_of(request)
        try:
            said = await do(turn)
        except Away:
            said = "away"
        return self._said(request, f"turns/{turn.id}", said)

    async def _check(self, request: Request, _caller: Caller) -> Response:
        return self._said(request, "system", "looking" if self._checks.wished() else "looked")

    def _said(self, request: Request, view: str, said: str) -> Response:
        done, sentence = words.SAID[said]
        if _wants_json(request):
            return _json({"done": done, "said": sentence}, 503 if said == "away" else 200 if done else 409)
        return RedirectResponse(f"{self._root(request)}{view}?{urlencode({'said': said})}", 303)

    # --- drawing --------------------------------------------------------------------------------------------

    def _drawn(self, request: Request, template: str, data: Data, caller: Caller) -> Response:
        if _wants_json(request):
            return _json(dict(data))
        proof = self._sessions.proof(caller.session) if caller.session is not None else ""
        hour = data.get("hour")
        html = self._templates.get_template(template).render(
            data,
            root=self._root(request),
            view=template.removesuffix(".html"),
            proof=proof,
            said=words.SAID.get(request.query_params.get("said", "")),
            now=now(),
            picture=None if hour is None else drawn(hour),
            doing_of=self._doing,
            link=lambda **values: "?" + urlencode({name: value for name, value in values.items() if value}),
        )
        return HTMLResponse(html)

    def _refused(self, request: Request, error: HTTPException) -> Response:
        if _wants_json(request):
            return _json({"error": error.detail}, error.status_code, error.headers)
        html = self._templates.get_template("refused.html").render(root=self._root(request), sentence=error.detail)
        return HTMLResponse(html, error.status_code, error.headers)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {
        "words": words, "SECOND": SECOND, "COUNTED": COUNTED, "ENDED": ENDED, "WIDTH": WIDTH, "HEIGHT": HEIGHT,
    }  # fmt: skip
    return templates


def _page(turns: Any) -> Data:
    """One row more than a page was asked for: it tells whether there is another page."""
    more = turns[PAGE - 1] if len(turns) > PAGE else None
    following = f"{more.received_at}-{more.id}-{more.position}" if more else ""
    return {"turns": turns[:PAGE], "next": following}


def _found(query: str, threads: Any, following: str) -> Data:
    shown: list[WatchedThread] = list(threads[:PAGE])
    return {"query": query, "threads": shown, "next": following}


def _cursor(request: Request) -> Cursor:
    found = _CURSOR.fullmatch(request.query_params.get("before", ""))
    if found is None:
        return Cursor()
    at, turn, position = int(found[1]), found[2], int(found[3])
    return Cursor(min(at, LARGEST), turn, min(position, LARGEST))


def _numbers(request: Request) -> tuple[int, int]:
    found = _NUMBERS.fullmatch(request.query_params.get("before", ""))
    return (LARGEST, LARGEST) if found is None else (min(int(found[1]), LARGEST), min(int(found[2]), LARGEST))


def _below(request: Request) -> str:
    """Where the request wanted to go, below the page."""
    path = quote(request.url.path.partition(PATH)[2])
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{path}{query}" if _WITHIN.fullmatch(f"{path}{query}") else ""


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _json(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(data, default=_plain), status, headers, "application/json")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)
