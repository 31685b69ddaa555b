"""Whether the workspaces that installed the Slack app can be served, by what is stored of them. Slack isn't asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime

from bridge.cipher import Cipher, WrongKey
from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.slack.manifest import INSTALL_PATH, missing_scopes
from bridge.frontends.slack.settings import SlackSettings
from bridge.ops.own_files import sqlite_file
from bridge.store.database import DatabaseError, open_database
from bridge.store.ledger import Ledger
from bridge.store.tables import Installation

INSTALLED = "slack.client_id"
KEYS = "data.keys"
AGAIN = f"Let people install the app there again, at {INSTALL_PATH}."
MAX_NAMED = 5  # workspaces


async def check_installations(address: str, slack: SlackSettings, cipher: Cipher) -> AsyncGenerator[Finding]:
    """Nothing is said of a database that can't be read: its own check says it."""
    file = sqlite_file(address)
    if file is not None and not file.exists():
        return
    try:
        async with open_database(address) as database:
            current, newest = await database.revision()
            if current != newest:
                return
            found = await Ledger(database).installations()
    except DatabaseError:
        return
    for finding in told([one for one in found if one.access_token is not None], slack, cipher):
        yield finding


def told(present: Sequence[Installation], slack: SlackSettings, cipher: Cipher) -> Iterator[Finding]:
    """Of those that aren't uninstalled."""
    if not present:
        yield ok(INSTALLED, "no workspace has installed the app yet")
        return
    now = datetime.now(UTC)
    tokens = {one.id: [token for token in (one.access_token, one.refresh_token) if token] for one in present}
    unreadable = [place for place, some in tokens.items() if not all(_is_readable(cipher, one) for one in some)]
    older = [place for place, some in tokens.items() if not all(map(cipher.is_newest, some))]
    over = [one.id for one in present if one.expires_at is not None and one.expires_at <= now]
    lacking = [one.id for one in present if missing_scopes(one.scopes, slack)]
    if unreadable:
        fix = f"Put it back, behind the first. Or: {AGAIN}"
        yield fail(KEYS, f"the key of the tokens of {_some(unreadable)} isn't here", fix)
    elif older:
        fix = "Keep it until every replica was started with these keys."
        yield warn(KEYS, f"the tokens of {_some(older)} are encrypted by an older key", fix)
    if over:
        yield fail(INSTALLED, f"the tokens of {_some(over)} are over and weren't renewed", AGAIN)
    if lacking:
        yield warn(INSTALLED, f"{_some(lacking)} gave fewer scopes than the manifest asks for", AGAIN)
    if not (unreadable or over or lacking):
        yield ok(INSTALLED, f"{len(present)} installed the app, with all scopes")


def _is_readable(cipher: Cipher, token: str) -> bool:
    try:
        cipher.decrypt(token)
    except WrongKey:
        return False
    return True


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - MAX_NAMED} more" if len(places) > MAX_NAMED else ""
    return ", ".join(places[:MAX_NAMED]) + more
