"""`threadbridge doctor`: looks at everything that the settings name, and says what is wrong and how to mend it.

It asks no agent a question, posts nothing and creates nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy.engine import URL

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Closes,
    Lists,
    NotFound,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
)
from adapters.http.service import create_client
from bridge.agents import load_adapter, make_agent
from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.discord.check import check_discord
from bridge.frontends.slack.check import check_slack
from bridge.settings import AgentTable, Settings, SettingsError, load
from bridge.store.database import DatabaseError, database_url, open_database

CHECK_WITHIN = 20.0  # seconds for the database, for a platform or for an agent; all are looked at side by side

DATABASE = "database_url"
UPGRADE = "`threadbridge db upgrade`"


async def examine(config: Path | None = None) -> Sequence[Finding]:
    """What there is to say of each part, in the order of the settings file. Never raises."""
    try:
        settings = load(config)
    except SettingsError as error:
        return [fail("settings", str(error), "The rest can be checked once they can be read.")]
    async with create_client() as client:
        checks = {DATABASE: check_database(settings.database_url)}
        if settings.slack is not None:
            checks["slack"] = check_slack(settings.slack)
        if settings.discord is not None:
            checks["discord"] = check_discord(settings.discord)
        for name, table in settings.agents.items():
            checks[f"agents.{name}"] = check_agent(name, table, client)
        found = await asyncio.gather(*(_bounded(place, check) for place, check in checks.items()))
    return [*check_settings(settings), *(finding for some in found for finding in some)]


def check_settings(settings: Settings) -> list[Finding]:
    """Whether there is something to serve, and by whom."""
    platforms = [name for name in ("slack", "discord") if getattr(settings, name) is not None]
    found: list[Finding] = []
    if not platforms:
        found.append(
            fail(
                "settings",
                "neither [slack] nor [discord] is configured",
                "`threadbridge init` asks for what is needed.",
            )
        )
    if not settings.agents:
        found.append(fail("settings", "no agent is configured", "Add an [agents.NAME] table with its kind."))
    return found or [ok("settings", f"{', '.join(platforms)}; agents: {', '.join(settings.agents)}")]


async def check_database(address: SecretStr) -> AsyncGenerator[Finding]:
    """Reachable and migrated. A SQLite file that isn't there yet is not created."""
    try:
        url = database_url(address.get_secret_value())
        if url.get_backend_name() == "sqlite" and (finding := _not_there(url)):
            yield finding
            return
        async with open_database(address.get_secret_value()) as database:
            current, newest = await database.revision()
    except DatabaseError as error:
        said = str(error).removeprefix(f"{DATABASE}: ")
        yield fail(DATABASE, said, "Check that it runs, and the address in the settings.")
        return
    if current == newest:
        yield ok(DATABASE, "reached, and up to date")
    elif url.get_backend_name() == "sqlite":
        yield warn(DATABASE, "not up to date", f"`threadbridge run` brings it up to date; else {UPGRADE}.")
    else:
        yield fail(DATABASE, "not up to date", f"Run {UPGRADE}.")


def _not_there(url: URL) -> Finding | None:
    file = Path(url.database or "")
    if file.exists():
        return None
    if file.parent.is_dir():
        return ok(DATABASE, f"{file} isn't there yet; `threadbridge run` makes it")
    return fail(DATABASE, f"the folder {file.parent} doesn't exist", "Make it, or change the address.")


async def check_agent(name: str, table: AgentTable, client: httpx.AsyncClient) -> AsyncGenerator[Finding]:
    """Settings, address and key. The key only where the backend lists conversations: all else might be noticed."""
    place = f"agents.{name}"
    try:
        agent = make_agent(name, table, client)
    except SettingsError as error:
        yield fail(place, str(error).removeprefix(f"{place}."), "Change it in the settings.")
        return
    try:
        if isinstance(agent, Lists):
            yield await _listed(place, agent)
        else:
            yield await _answers(place, table, client)
    finally:
        if isinstance(agent, Closes):
            await agent.aclose()


async def _listed(place: str, agent: Lists) -> Finding:
    try:
        await agent.conversations()
    except AuthenticationFailed as error:
        return fail(place, f"the key was refused ({error})", f"Set {place}.api_key to a key that is valid there.")
    except (Unavailable, TimedOut) as error:
        return fail(
            place, f"can't be reached ({error})", f"Check {place}.base_url and whether the service is running."
        )
    except NotFound as error:
        return fail(
            place,
            f"there is no such place ({error})",
            f"Check {place}.base_url, and the ids and the key beside it.",
        )
    except RateLimited as error:
        return warn(place, f"not checked: too many requests ({error})", "Wait a few minutes.")
    except Rejected as error:
        return warn(
            place,
            f"answers, but doesn't list conversations ({error}), so the key isn't checked",
            f"`threadbridge ask {place.removeprefix('agents.')} hello` tries it.",
        )
    except AgentError as error:
        return fail(place, f"answers like another service ({error})", f"Check {place}.kind and {place}.base_url.")
    return ok(place, "answers, and accepts what it is sent")


async def _answers(place: str, table: AgentTable, client: httpx.AsyncClient) -> Finding:
    address = getattr(load_adapter(table.kind, place).Settings(**table.rest), "base_url", None)
    if not isinstance(address, str):
        return ok(place, "the settings are valid; more isn't checked for this kind")
    mend = f"Check {place}.base_url and whether the service is running."
    try:
        async with client.stream("GET", address) as response:
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return fail(place, f"can't be reached ({type(error).__name__})", mend)
    if status >= 500:
        return warn(place, f"the address answers with HTTP {status}", mend)
    return ok(place, "the address answers; the key isn't checked, because this kind has no harmless question")


async def _bounded(place: str, check: AsyncGenerator[Finding]) -> list[Finding]:
    """What a check finds in time. Whatever goes wrong with it is a finding, too, so that the others are heard."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(CHECK_WITHIN), aclosing(check):
            async for finding in check:
                found.append(finding)
    except TimeoutError:
        said = f"no answer within {CHECK_WITHIN:.0f} seconds"
        found.append(fail(place, said, "Check the address and this machine's network."))
    except Exception as error:
        said = f"the check broke off ({type(error).__name__})"
        found.append(fail(place, said, f"Look for a mistake in what the settings say under {place}."))
    return found
