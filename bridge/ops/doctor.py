"""`threadbridge doctor`: looks at everything that the settings name, and says what is wrong and what to do.

It asks no agent a question, posts nothing and creates nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy.engine import URL

from adapters.http.service import create_client
from bridge.agents import clashes
from bridge.extras import extra_of, how_to_install
from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.discord.check import check_discord
from bridge.frontends.slack.check import check_slack
from bridge.inbound import Platform
from bridge.ops.check_agents import check_agent
from bridge.ops.check_installations import INSTALLED, check_installations
from bridge.ops.check_settings import check_settings, routed_channels
from bridge.ops.own_files import check_own_files
from bridge.settings import DataSettings, HttpSettings, Settings, SettingsError, load
from bridge.store.database import DatabaseError, database_url, open_database
from bridge.transcription import check_transcription

PROBED_WITHIN = 2.0  # seconds for what listens at our own port
CHECK_WITHIN = 20.0  # seconds for the database, for a platform or for an agent; all are looked at side by side

DATABASE = "database_url"
UPGRADE = "`threadbridge db upgrade`"
KEYS = "data.keys"
ENCRYPT = "`threadbridge db encrypt`"


async def examine(config: Path | None = None) -> Sequence[Finding]:
    """What there is to say of each part, in the order of the settings file. Never raises."""
    try:
        settings = load(config)
    except SettingsError as error:
        return [fail("settings", str(error), "The rest can be checked once they can be read.")]
    async with create_client() as client:
        checks = {
            DATABASE: check_database(settings.database_url, settings.data),
            "http": check_http(settings.http, client),
        }
        if settings.slack is not None:
            checks["slack"] = check_slack(settings.slack, routed_channels(settings, "slack"))
            if settings.slack.serves_many and (cipher := settings.data.cipher) is not None:
                address = settings.database_url.get_secret_value()
                checks[INSTALLED] = check_installations(address, settings.slack, cipher)
        if settings.discord is not None:
            checks["discord"] = check_discord(
                settings.discord,
                routed_channels(settings, "discord"),
                lists_servers=settings.rules.lists_servers,
                unmentioned=_unmentioned(settings, "discord"),
            )
        for name, table in settings.agents.items():
            checks[f"agents.{name}"] = check_agent(name, table, client)
        if settings.transcription is not None:
            checks["transcription"] = check_transcription(settings.transcription, client)
        found = await asyncio.gather(*(bounded(place, check) for place, check in checks.items()))
    ours = [*check_settings(settings), *check_own_files(settings, config), *check_packages()]
    return [*ours, *(finding for some in found for finding in some)]


def _unmentioned(settings: Settings, platform: Platform) -> str:
    """The first route by which messages are asked that don't mention the bot; "" if there is none."""
    for index, route in enumerate(settings.routes):
        if route.agent and route.platform in (None, platform) and (route.listen == "all" or route.bots):
            return f"routes[{index}].{'listen' if route.listen == 'all' else 'bots'}"
    return ""


def check_packages() -> list[Finding]:
    """Whether two packages bring a kind of agent of one name."""
    return [
        warn("agents", str(clash), f"Uninstall {clash.left_out}, or ask its makers for another name.")
        for clash in clashes()
    ]


async def check_http(http: HttpSettings, client: httpx.AsyncClient) -> AsyncGenerator[Finding]:
    """Whether this process could listen there."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        socket.create_server((http.host, http.port), family=family).close()
    except OSError as error:
        if await _is_ours(http, client):
            yield ok("http.port", f"{http.port} is served by a Threadbridge that runs already")
            return
        cause = str(error.strerror).partition(" (while")[0]  # before what is said again of the address
        found = f"can't listen on {http.host}:{http.port} ({cause})"
        yield fail("http.port", found, "End what listens there, or set another http.host or http.port.")
    else:
        yield ok("http.port", f"{http.port} is free" if http.port else "any free port is taken")


async def _is_ours(http: HttpSettings, client: httpx.AsyncClient) -> bool:
    host = f"[{http.host}]" if ":" in http.host else http.host
    try:
        answer = await client.get(f"http://{host}:{http.port}/healthz", timeout=PROBED_WITHIN)
        return bool(answer.json() == {"status": "ok"})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


async def check_database(address: SecretStr, data: DataSettings) -> AsyncGenerator[Finding]:
    """Reachable, migrated, and its keys known. A SQLite file that isn't there yet is not created."""
    try:
        url = database_url(address.get_secret_value())
        if url.get_backend_name() == "sqlite" and (finding := _not_there(url)):
            yield finding
            return
        async with open_database(address.get_secret_value()) as database:
            current, newest = await database.revision()
            used = await database.key_ids()
    except DatabaseError as error:
        found = str(error).removeprefix(f"{DATABASE}: ")
        yield fail(DATABASE, found, "Check that it runs, and the address in the settings.")
        return
    if current == newest:
        yield ok(DATABASE, "reached, and up to date")
    elif url.get_backend_name() == "sqlite":
        yield warn(DATABASE, "not up to date", f"`threadbridge run` brings it up to date; else {UPGRADE}.")
    else:
        yield fail(DATABASE, "not up to date", f"Run {UPGRADE}.")
    if (finding := check_keys(used, data)) is not None:
        yield finding


def check_keys(used: frozenset[str], data: DataSettings) -> Finding | None:
    """Whether all can be read that is encrypted; None where nothing is, nor will be."""
    encryption = data.encryption
    given = () if encryption is None else encryption.key_ids
    if missing := sorted(used - set(given)):
        found = f"something stored is encrypted by key {', '.join(missing)}, which isn't here"
        return fail(KEYS, found, "Put it back, behind the first. Its turns can't be read without it.")
    if encryption is not None and encryption.encrypts:
        if used <= {given[0]}:
            return ok(KEYS, f"texts are encrypted by key {given[0]}")
        return warn(
            KEYS,
            f"texts are encrypted by key {given[0]}, older ones perhaps by another",
            f"Run {ENCRYPT}, then drop it.",
        )
    if used:
        return warn(KEYS, "texts are stored clear from now on, older ones are encrypted", f"Run {ENCRYPT}.")
    return None


def _not_there(url: URL) -> Finding | None:
    file = Path(url.database or "")
    if file.exists():
        return None
    if file.parent.is_dir():
        return ok(DATABASE, f"{file} isn't there yet; `threadbridge run` makes it")
    return fail(DATABASE, f"the folder {file.parent} doesn't exist", "`threadbridge doctor --fix` makes it.")


async def bounded(place: str, check: AsyncGenerator[Finding]) -> list[Finding]:
    """What a check finds in time. Whatever goes wrong with it is a finding, too, so that the others are heard."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(CHECK_WITHIN), aclosing(check):
            async for finding in check:
                found.append(finding)
    except TimeoutError:
        late = f"no answer within {CHECK_WITHIN:g} seconds"
        found.append(fail(place, late, "Check the address and this machine's network."))
    except ImportError as error:
        extra = extra_of(error)
        missing = f"needs the module {error.name}, which isn't installed"
        found.append(fail(place, missing, how_to_install(extra) if extra else "Install it."))
    except Exception as error:
        broke = f"the check broke off ({type(error).__name__})"
        found.append(fail(place, broke, f"Look for a mistake in what the settings say under {place}."))
    return found
