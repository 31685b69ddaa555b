"""`threadbridge workspaces`, and the manifest of an app that many workspaces install."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bridge.cipher import Cipher
from bridge.cli.commands import app
from bridge.installations import Installation, Tokens
from bridge.store.database import Database, database_url
from bridge.store.installations import InstallationStore

KEY = "A" * 43 + "="
TOKEN = "xoxb-secret"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "threadbridge.toml"
    path.write_text(
        f'database_url = "sqlite:///{tmp_path / "threadbridge.db"}"\n'
        '[http]\npublic_url = "https://bot.example"\n'
        f'[data]\nkeys = ["{KEY}"]\n'
        '[slack]\nclient_id = "1.2"\nclient_secret = "s"\n'
        '[agents.echo]\nkind = "echo"\n',
        encoding="utf-8",
    )
    return path


async def install(folder: Path) -> None:
    database = Database(database_url(f"sqlite:///{folder / 'threadbridge.db'}"))
    await database.upgrade()
    async with database.prepared("test") as engine:
        store = InstallationStore(engine, Cipher([SecretStr(KEY)]))
        tokens = Tokens(SecretStr(TOKEN), SecretStr("xoxe-secret"), 2_000_000_000.0)
        for place, name in (("T1", "First\x1b[31m"), ("T2", "Second")):
            await store.put(Installation(place, name, "U1", "B1", "A1", frozenset(), tokens, installed_by="U7"))
        await store.remove("T2", 1)
    await database.close()


def test_workspaces_are_listed_without_their_tokens(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1")
    asyncio.run(install(tmp_path))
    result = CliRunner().invoke(app, ["workspaces", "--config", str(config)])
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.output.splitlines()]
    assert [line[:4] for line in lines] == [
        ["T1", "workspace", "2033-05-18 03:33", "U7"],
        ["T2", "uninstalled", "-", "U7"],
    ]
    assert "secret" not in result.output
    assert "\x1b" not in result.output


def test_the_manifest_can_be_had_before_there_are_tokens(config: Path) -> None:
    result = CliRunner().invoke(app, ["manifest", "slack", "--config", str(config)])
    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    assert made["oauth_config"]["redirect_urls"] == ["https://bot.example/slack/oauth_redirect"]


def test_the_manifest_is_of_many_workspaces_where_the_environment_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text().replace('client_id = "1.2"\n', ""))
    monkeypatch.setenv("THREADBRIDGE_SLACK__CLIENT_ID", "1.2")
    result = CliRunner().invoke(app, ["manifest", "slack", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert "redirect_urls" in json.loads(result.output)["oauth_config"]


def test_discords_link_can_be_had_beside_many_workspaces(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4.a.b")
    result = CliRunner().invoke(app, ["manifest", "discord", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert "client_id=123456789012345678" in result.output
