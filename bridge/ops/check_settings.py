"""What is wrong with the settings by themselves: nothing to serve, routes that never match. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.extras import how_to_install, installed
from bridge.findings import Finding, fail, ok, warn
from bridge.settings import HttpSettings, Route, Settings

PLATFORMS = ("slack", "discord")
GOOD_TOKEN = 32  # characters
ANOTHER = "Make another: `openssl rand -hex 32`."

# A channel's name on Slack has no capitals, so nothing that people call a channel looks like an id.
SLACK_CHANNEL = re.compile(r"[CGD][A-Z0-9]{3,}")
SNOWFLAKE = re.compile(r"\d{15,20}")
CHANNEL_IDS = {"slack": (SLACK_CHANNEL,), "discord": (SNOWFLAKE,), None: (SLACK_CHANNEL, SNOWFLAKE)}

FIND_ON_SLACK = "On Slack: click the channel's name at its top; the id (C…) stands at the end of About."
FIND_ON_DISCORD = (
    "On Discord: Settings > Advanced > Developer Mode, then right-click the channel > Copy Channel ID."
)
FIND_ID = {"slack": FIND_ON_SLACK, "discord": FIND_ON_DISCORD, None: f"{FIND_ON_SLACK} {FIND_ON_DISCORD}"}


def check_settings(settings: Settings) -> list[Finding]:
    """Whether there is something to serve, by whom, and whether each route can ever match."""
    found: list[Finding] = []
    platforms = [name for name in PLATFORMS if getattr(settings, name) is not None]
    if not platforms:
        fix = "`threadbridge init` asks for what is needed."
        found.append(fail("settings", "neither [slack] nor [discord] is configured", fix))
    if not settings.agents:
        found.append(fail("settings", "no agent is configured", "Add an [agents.NAME] table with its kind."))
    if not found:
        found.append(ok("settings", f"{', '.join(platforms)}; agents: {', '.join(settings.agents)}"))
    for index, route in enumerate(settings.routes):
        found += _check_route(index, route, settings)
    found += _check_speaking(settings)
    found += _check_tokens(settings.http)
    return found


def routed_channels(settings: Settings, platform: str) -> dict[str, str]:
    """The channels that the routes name and that may be this platform's, by their place in the settings."""
    return {
        _place(index, "channel"): route.channel
        for index, route in enumerate(settings.routes)
        if route.channel is not None
        and route.platform in (platform, None)
        and any(shape.fullmatch(route.channel) for shape in CHANNEL_IDS[platform])
    }


def _check_route(index: int, route: Route, settings: Settings) -> Iterator[Finding]:
    if route.channel is not None and not any(one.fullmatch(route.channel) for one in CHANNEL_IDS[route.platform]):
        found = f"{route.channel!r} isn't a channel's id, so this route matches nothing"
        yield fail(_place(index, "channel"), found, FIND_ID[route.platform])
    if route.platform is not None and getattr(settings, route.platform) is None:
        found = f"[{route.platform}] isn't configured, so this route matches nothing"
        yield warn(_place(index, "platform"), found, f"Add the table [{route.platform}], or take the route out.")
    for before, earlier in enumerate(settings.routes[:index]):
        if _takes_all_of(earlier, route):
            found = f"is never reached: routes[{before}] takes all of it first"
            yield warn(f"routes[{index}]", found, f"Put it before routes[{before}], or take one of them out.")
            return


def _check_speaking(settings: Settings) -> Iterator[Finding]:
    """Whether agents can speak first as the settings say, and nobody else can."""
    http = settings.http
    if http.token is None:
        if http.speak:
            yield warn(
                "http.speak", "without http.token nobody may speak there", "Set a token: `openssl rand -hex 32`."
            )
        return
    if len(http.token.get_secret_value()) >= GOOD_TOKEN:
        yield ok("http.token", "agents and webhooks that have it may speak first")
    if not http.speak:
        found = "names no place, so nobody can open a thread"
        yield warn("http.speak", found, 'List channels and people: speak = ["slack:C0123", "discord:1234"].')
    for place in http.speak:
        platform = place.partition(":")[0]
        if getattr(settings, platform) is None:
            yield warn(
                "http.speak", f"{place!r}: [{platform}] isn't configured", f"Add [{platform}], or take it out."
            )
    if not installed("mcp"):
        yield warn("http.token", "/mcp isn't served, only POST /threads", f"For /mcp: {how_to_install('mcp')}.")


def _check_tokens(http: HttpSettings) -> Iterator[Finding]:
    """Whether each token is hard to guess, and opens one thing alone."""
    given = {"http.token": http.token, "http.metrics_token": http.metrics_token, "http.ops_token": http.ops_token}
    known: dict[str, str] = {}
    for place, secret in given.items():
        token = "" if secret is None else secret.get_secret_value()
        if not token:
            continue
        if len(token) < GOOD_TOKEN:
            found = f"has fewer than {GOOD_TOKEN} characters, which could be guessed"
            yield warn(place, found, ANOTHER)
        if token in known:
            yield warn(place, f"is that of {known[token]}, so who has the one has the other", ANOTHER)
        known.setdefault(token, place)
    if http.public_url and http.metrics_token is None:
        found = "isn't set, so whoever reaches this process by http.public_url may read /metrics"
        yield warn("http.metrics_token", found, "Let the proxy shut /metrics, or set one: `openssl rand -hex 32`.")


def _takes_all_of(earlier: Route, later: Route) -> bool:
    """Whether the first route that matches is never the later one."""
    pairs = (
        (earlier.platform, later.platform),
        (earlier.workspace, later.workspace),
        (earlier.channel, later.channel),
    )
    return all(wanted is None or wanted == given for wanted, given in pairs)


def _place(index: int, key: str) -> str:
    return f"routes[{index}].{key}"
