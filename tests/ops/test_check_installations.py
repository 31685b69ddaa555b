"""What doctor says of the workspaces that installed the Slack app, by what is stored of them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from pydantic import SecretStr

from bridge.cipher import Cipher
from bridge.findings import Mark
from bridge.frontends.slack.manifest import SCOPES
from bridge.frontends.slack.settings import SlackSettings
from bridge.installations import Installation, Tokens
from bridge.ops.check_installations import check_installations
from bridge.store.database import Database, database_url
from bridge.store.installations import InstallationStore
from tests.store.keys import key

OLD, NEW = key(1), key(2)
SLACK = SlackSettings(client_id="1.2", client_secret=SecretStr("s"), app_token=SecretStr("xapp-1"))
GOOD = Installation(
    *("T1", "One", "U1", "B1", "A1", frozenset(SCOPES)),
    Tokens(SecretStr("xoxe.xoxb-1"), SecretStr("xoxe-1"), time.time() + 9_000),
)


@pytest.mark.parametrize(
    ("installation", "keys", "found"),
    [
        (None, [OLD], [(Mark.OK, "slack.client_id", "no workspace has installed the app yet")]),
        (GOOD, [OLD], [(Mark.OK, "slack.client_id", "1 installed the app")]),
        (GOOD, [NEW, OLD], [(Mark.WARN, "data.keys", "T1 are encrypted by an older key"),
                            (Mark.OK, "slack.client_id", "1 installed the app")]),
        (GOOD, [NEW], [(Mark.FAIL, "data.keys", "T1 isn't here")]),
        (replace(GOOD, tokens=Tokens(SecretStr("xoxe.xoxb-1"), SecretStr("xoxe-1"), 1.0)), [OLD],
         [(Mark.FAIL, "slack.client_id", "T1 are over")]),
        (replace(GOOD, scopes=frozenset({"chat:write"})), [OLD],
         [(Mark.WARN, "slack.client_id", "T1 gave fewer scopes")]),
    ],
    ids=["none", "good", "older key", "key lost", "over", "scopes"],
)  # fmt: skip
async def test_each_installation_is_looked_at(
    migrated_url: str, installation: Installation | None, keys: list[SecretStr], found: list[tuple[Mark, str, str]]
) -> None:
    database = Database(database_url(migrated_url))
    async with database.prepared("one") as engine:
        if installation is not None:
            await InstallationStore(engine, Cipher([OLD])).put(installation)
    await database.close()
    findings = [one async for one in check_installations(migrated_url, SLACK, Cipher(keys))]
    assert [(one.mark, one.place) for one in findings] == [(mark, place) for mark, place, _ in found]
    for finding, (_, _, text) in zip(findings, found, strict=True):
        assert text in finding.found
        assert "xox" not in f"{finding.found} {finding.fix}"
