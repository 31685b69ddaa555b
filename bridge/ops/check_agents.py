"""Whether a configured agent can work, found out without asking it anything.

An agent that `Checks` tells by itself; one that `Lists` shows by its list that address and key are right. Of all
others only the address can be looked at, which proves little, and the finding says so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checks,
    Closes,
    Lists,
    NotFound,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
)
from adapters.http.failures import WrongAddress
from bridge.agents import adapter_settings, make_agent
from bridge.findings import Finding, fail, ok, warn
from bridge.settings import AgentTable, SettingsError

NOT_HERE = (404, 410)


async def check_agent(name: str, table: AgentTable, client: httpx.AsyncClient) -> AsyncGenerator[Finding]:
    """One finding on the agent's settings, address and key."""
    place = f"agents.{name}"
    try:
        agent = make_agent(name, table, client)
    except SettingsError as error:
        yield fail(place, str(error).removeprefix(f"{place}."), "Change it in the settings.")
        return
    try:
        if isinstance(agent, Checks):
            yield await _checked(place, agent)
        elif isinstance(agent, Lists):
            yield await _listed(place, agent)
        else:
            address = getattr(adapter_settings(place, table), "base_url", None)
            if isinstance(address, str):
                yield await check_address(place, address, client)
            else:
                yield ok(place, "the settings are valid; more isn't checked for this kind")
    finally:
        if isinstance(agent, Closes):
            await agent.aclose()


async def _checked(place: str, agent: Checks) -> Finding:
    try:
        return ok(place, await agent.check())
    except Rejected as error:
        return fail(place, f"refuses these settings ({error})", f"Change them under {place}.")
    except AgentError as error:
        return _trouble(place, error)


async def _listed(place: str, agent: Lists) -> Finding:
    try:
        await agent.conversations()
    except Rejected as error:
        return warn(
            place,
            f"answers, but doesn't list conversations ({error}), so the key isn't checked",
            _try(place),
        )
    except AgentError as error:
        return _trouble(place, error)
    return ok(place, "answers, and accepts what it is sent")


def _trouble(place: str, error: AgentError) -> Finding:
    match error:
        case AuthenticationFailed():
            return fail(
                place, f"the key was refused ({error})", f"Set {place}.api_key to a key that is valid there."
            )
        case Unavailable() | TimedOut():
            fix = f"Check {place}.base_url and whether the service is running."
            return fail(place, f"can't be reached ({error})", fix)
        case WrongAddress():
            return fail(place, f"no request can be sent to its address ({error})", f"Change {place}.base_url.")
        case NotFound():
            # Nothing was asked about a conversation, so what isn't there is what the settings name.
            fix = f"Check {place}.base_url, and the names and ids beside it."
            return fail(place, f"a setting names what isn't there ({error})", fix)
        case RateLimited():
            return warn(place, f"not checked: too many requests ({error})", "Wait a few minutes.")
        case _:
            fix = f"Check {place}.kind and {place}.base_url."
            return fail(place, f"answers like another service ({error})", fix)


async def check_address(place: str, address: str, client: httpx.AsyncClient) -> Finding:
    """Whether anything answers at the agent's address, which proves neither path nor key."""
    fix = f"Check {place}.base_url and whether the service is running."
    try:
        async with client.stream("GET", address) as response:
            status, redirects = response.status_code, response.has_redirect_location
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return fail(place, f"can't be reached ({type(error).__name__})", fix)
    if status >= 500:
        return warn(place, f"the address answers with HTTP {status}", fix)
    if status in NOT_HERE or redirects:
        found = f"the address answers with HTTP {status}, so the path may be wrong; the key isn't checked"
        return warn(place, found, _try(place))
    return ok(place, f"the address answers (HTTP {status}); the key isn't checked. {_try(place)}")


def _try(place: str) -> str:
    return f"`threadbridge ask {place.removeprefix('agents.')} hello` tries it."
