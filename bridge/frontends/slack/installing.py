"""`GET /slack/install` and `GET /slack/oauth_redirect`: a person puts the app into their workspace.

Whatever goes wrong is a page that says what to do, and nothing is kept of it. Nothing of a request is shown again.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urljoin

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bridge.frontends.slack.client import Budgets, Client, Login, required
from bridge.frontends.slack.errors import SDK_ERRORS, Failure, NotSlacksAnswer
from bridge.frontends.slack.home import messages_tab
from bridge.frontends.slack.installed import read_tokens
from bridge.frontends.slack.manifest import INSTALL_PATH, REDIRECT_PATH, scopes
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.states import LIFE, States, is_browser, new_browser
from bridge.installations import Installation, Installations, StoreAway

log = structlog.get_logger()

COOKIE = "threadbridge-install"
AT_ONCE = 20  # people whose installation is being finished
MAX_QUERY = 4_000  # characters; Slack's is a few hundred
MAX_CODE = 1_000
MAX_ID = 64  # characters that are kept of one
_ID = re.compile(rf"[TE][A-Z0-9]{{1,{MAX_ID - 1}}}")  # of a workspace or organisation
MAX_NAME = 200  # characters of a workspace's name
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds a code
    "X-Content-Type-Options": "nosniff",
}
# What Slack says of a code; what it says beside is the operator's.
CODES = frozenset({"invalid_code", "code_already_used", "code_expired", "invalid_grant_type"})
BAD_STATE = "This installation wasn't begun in this browser, was finished before, or took longer than ten minutes."
DENIED = "You didn't allow it, so nothing was installed."
NOT_SLACK = "Slack didn't say whether it was allowed."
BAD_CODE = "Slack doesn't take its own code any more: it is too old, or was used before."
NO_SLACK = "Slack can't be reached, so nothing was installed."
NOT_KEPT = "The installation couldn't be kept, so the app doesn't answer yet."
NOT_SERVED = "This workspace isn't among those that the app may be used in. Ask whoever runs it."
MISCONFIGURED = "Slack doesn't know this app as it is set up here. Whoever runs it finds the reason in its log."
BUSY = "Too many people install the app at the same moment."


@dataclass(frozen=True, slots=True)
class _Refusal(Exception):
    status: int
    sentence: str
    again: bool = True  # whether to offer to begin anew


class Installing:
    """Gives `put` what was installed, which then keeps it or raises `StoreAway`."""

    def __init__(
        self,
        settings: SlackSettings,
        kept: Installations,
        put: Callable[[Installation], Awaitable[None]],
        client: Client,
        public_url: str,
        may_install: Callable[[str], bool] = lambda _: True,
    ) -> None:
        secret = settings.client_secret
        assert settings.client_id is not None  # noqa: S101 - the settings saw to it
        assert secret is not None  # noqa: S101
        self._settings = settings
        self._client_id, self._client_secret = settings.client_id, secret.get_secret_value()
        self._kept = kept
        self._put = put
        self._client = client
        self._redirect_uri = f"{public_url}{REDIRECT_PATH}"
        self._begin_at = f"{public_url}{INSTALL_PATH}"
        self._secure = public_url.startswith("https:")
        self._cookie = f"__Host-{COOKIE}" if self._secure else COOKIE
        self._may_install = may_install
        self._states = States(self._client_secret)
        self._under_way = 0
        self.routes = [
            Route(INSTALL_PATH, self.begin, methods=["GET"]),
            Route(REDIRECT_PATH, self.finish, methods=["GET"]),
        ]

    async def begin(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(status_code=405, headers=HEADERS)
        browser = self._browser(request) or new_browser()
        asked = {
            "client_id": self._client_id,
            "scope": ",".join(scopes(self._settings)),
            "redirect_uri": self._redirect_uri,
            "state": self._states.issue(browser),
        }
        page = f"{urljoin(self._settings.api_url, '../oauth/v2/authorize')}?{urlencode(asked)}"
        answer = RedirectResponse(page, status_code=302, headers=HEADERS)
        answer.set_cookie(
            self._cookie, browser, max_age=LIFE, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
        return answer

    async def finish(self, request: Request) -> Response:
        if request.method != "GET":  # a HEAD would use up the code
            return Response(status_code=405, headers=HEADERS)
        try:
            if self._under_way >= AT_ONCE:
                raise _Refusal(503, BUSY)
            self._under_way += 1
            try:
                installation = await self._finish(request)
            finally:
                self._under_way -= 1
        except _Refusal as refusal:
            log.info("slack.not_installed_by_page", status=refusal.status, reason=refusal.sentence)
            again = f'<p><a href="{html.escape(self._begin_at)}">Begin again</a></p>' if refusal.again else ""
            return _page("It wasn't installed", f"<p>{html.escape(refusal.sentence)}</p>{again}", refusal.status)
        name = html.escape(installation.name[:MAX_NAME])
        link = html.escape(messages_tab(installation.id, installation.app))
        where = f'<p><a href="{link}">Open it in Slack</a></p>' if link else ""
        answer = _page("It is installed", f"<p>The app is in {name} now: mention it in a channel.</p>{where}", 200)
        answer.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="lax")
        return answer

    async def _finish(self, request: Request) -> Installation:
        if len(request.url.query) > MAX_QUERY:
            raise _Refusal(400, BAD_STATE)
        asked = request.query_params
        state, code, error = (_only(asked.getlist(name)) for name in ("state", "code", "error"))
        until = self._states.until(state, self._browser(request))
        if until is None:
            raise _Refusal(400, BAD_STATE)
        if error:
            raise _Refusal(400, DENIED if error == "access_denied" else NOT_SLACK)
        if not code or len(code) > MAX_CODE:
            raise _Refusal(400, NOT_SLACK)
        try:
            if not await self._kept.spend_state(state, until):
                raise _Refusal(400, BAD_STATE)
        except StoreAway:
            raise _Refusal(503, NOT_KEPT) from None
        installation = await self._exchange(code)
        try:
            await self._put(installation)
        except StoreAway as error:
            log.error("slack.installation_not_kept", installation=installation.id, reason=str(error))
            raise _Refusal(503, NOT_KEPT) from None
        return installation

    async def _exchange(self, code: str) -> Installation:
        try:
            answer = await self._client.exchange(
                self._client_id, self._client_secret, code=code, redirect_uri=self._redirect_uri
            )
            installed = read_installation(answer, time.time())
            theirs_token = "" if installed.tokens is None else installed.tokens.access.get_secret_value()
            theirs = Client(self._settings, Budgets(), Login(theirs_token), self._client.connections)
            if not self._may_install(installed.id):
                await theirs.auth_revoke()
                raise _Refusal(403, NOT_SERVED, again=False)
            about = await theirs.auth_test()
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.code in CODES:
                raise _Refusal(400, BAD_CODE) from None
            log.error("slack.not_exchanged", reason=failure.reason)
            if failure.refused:
                raise _Refusal(500, MISCONFIGURED, again=False) from None
            raise _Refusal(502, NO_SLACK) from None
        return replace(installed, bot=str(about.get("bot_id") or "")[:MAX_ID])

    def _browser(self, request: Request) -> str:
        cookie = request.cookies.get(self._cookie, "")
        return cookie if is_browser(cookie) else ""


def read_installation(answer: Any, at: float) -> Installation:
    """What was installed where, of an answer of `oauth.v2.access`. Raises `NotSlacksAnswer`."""
    team, enterprise, by = (_object(answer.get(name)) for name in ("team", "enterprise", "authed_user"))
    org = answer.get("is_enterprise_install") is True
    where = enterprise if org else team
    place = where.get("id")
    if not isinstance(place, str) or not _ID.fullmatch(place) or answer.get("token_type") != "bot":
        raise NotSlacksAnswer(200, {})
    return Installation(
        id=place,
        name=str(where.get("name") or place)[:MAX_NAME],
        user=str(required(answer, "bot_user_id"))[:MAX_ID],
        bot="",
        app=str(answer.get("app_id") or "")[:MAX_ID],
        scopes=frozenset(filter(None, str(answer.get("scope") or "").split(","))),
        tokens=read_tokens(answer, at),
        org=org,
        enterprise=str(enterprise.get("id") or "")[:MAX_ID],
        installed_by=str(by.get("id") or "")[:MAX_ID],
    )


def _object(value: Any) -> dict[str, Any]:
    """An object of Slack's answer, {} for whatever else stands there."""
    return value if isinstance(value, dict) else {}


def _only(values: list[str]) -> str:
    """The one value of a name that may stand once; what stands twice is nobody's."""
    return values[0] if len(values) == 1 else ""


def _page(title: str, body: str, status: int) -> HTMLResponse:
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    return HTMLResponse(f"{head}<body><h1>{title}</h1>{body}</body></html>", status_code=status, headers=HEADERS)
