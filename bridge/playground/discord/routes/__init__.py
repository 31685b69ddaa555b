"""The REST routes, by what they are about."""

from bridge.playground.discord.rest import Route
from bridge.playground.discord.routes import about, applications, channels, messages, threads, webhooks

ALL: list[Route] = [
    route for module in (about, applications, channels, messages, threads, webhooks) for route in module.routes.all
]
