"""`threadbridge workspaces`: where the Slack app was installed."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.cli.options import ConfigOption
from bridge.cli.output import aside, fail, write
from bridge.cli.output import run as run_to_end
from bridge.printable import printable_line
from bridge.settings import ENVIRONMENT, Settings, load, settings_given


def serves_many_workspaces(config: Path | None) -> bool:
    """Whether the settings have an app that workspaces install, as far as that shows before there are all tokens."""
    slack = settings_given(config, os.environ).get("slack", {})
    return bool(slack.get("client_id") or os.environ.get(f"{ENVIRONMENT}SLACK__CLIENT_ID"))


def workspaces(config: ConfigOption = None) -> None:
    """The Slack workspaces that installed the app: id, state, when its token expires, who installed it, name."""
    run_to_end(_workspaces(load(config)))


async def _workspaces(settings: Settings) -> None:
    from bridge.store.database import open_database
    from bridge.store.ledger import Ledger

    async with open_database(settings.database_url.get_secret_value()) as database:
        current, newest = await database.revision()
        if current != newest:
            fail("the database isn't up to date; run `threadbridge db upgrade`")
        found = await Ledger(database).installations()
    for one in found:
        state = "uninstalled" if one.access_token is None else "organisation" if one.org else "workspace"
        expires = "-" if one.expires_at is None else f"{one.expires_at:%Y-%m-%d %H:%M}"
        write("\t".join([one.id, state, expires, one.installed_by or "-", printable_line(one.name)]))
    if not found:
        aside("no workspace has installed the app yet")
