"""A Slack to develop against: one workspace in memory that the unmodified SDKs connect to by its address.

Serve `create_app(world)` and give the SDK its address: `AsyncWebClient(world.bot_token, base_url=f"{url}/api/")`.
Then `ts = await world.say("ada", "general", f"{world.mention} hello")`, and
`await world.until(lambda: len(world.thread("general", ts)) > 1)`.

What people do is in `world`. What goes wrong is made by `world.faults` (Web API and files), by
`world.deliveries` (`drop`, `silence`, `refresh`, `redeliver`) and by `world.expire_streams`. What the app did is
read from `world.thread`, `world.calls`, `world.pings`, `world.unfurls`, `world.session` and `world.watch`.
"""

from bridge.playground.slack.delivery import Envelope
from bridge.playground.slack.errors import NotAnswered, SlackError
from bridge.playground.slack.values import (
    Call,
    Change,
    Channel,
    Message,
    Person,
    Ping,
    Session,
    StoredFile,
    Unfurl,
    View,
)
from bridge.playground.slack.watching import Watch
from bridge.playground.slack.web import create_app
from bridge.playground.slack.world import SlackWorld

__all__ = [
    "Call",
    "Change",
    "Channel",
    "Envelope",
    "Message",
    "NotAnswered",
    "Person",
    "Ping",
    "Session",
    "SlackError",
    "SlackWorld",
    "StoredFile",
    "Unfurl",
    "View",
    "Watch",
    "create_app",
]
