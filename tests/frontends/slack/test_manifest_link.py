"""`threadbridge manifest slack --link`: the same manifest, in an address."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from typer.testing import CliRunner

from bridge.cli.commands import app
from bridge.frontends.slack.manifest import LINK_FITS

AGENT = '[slack]\n[agents.support]\nkind = "echo"\n'


def manifest(folder: Path, text: str, *options: str) -> tuple[str, str]:
    config = folder / "threadbridge.toml"
    config.write_text(text, encoding="utf-8")
    ended = CliRunner().invoke(app, ["manifest", "slack", *options, "--config", str(config)])
    assert ended.exit_code == 0, ended.output
    return ended.stdout, ended.stderr


def test_the_link_holds_the_manifest_whole(tmp_path: Path) -> None:
    printed, _ = manifest(tmp_path, AGENT)
    link, aside = manifest(tmp_path, AGENT, "--link")
    address = urlsplit(link.strip())
    query = parse_qs(address.query, strict_parsing=True)
    assert (address.scheme, address.netloc, address.path) == ("https", "api.slack.com", "/apps")
    assert sorted(query) == ["manifest_json", "new_app"]
    assert json.loads(query["manifest_json"][0]) == json.loads(printed)
    assert len(link) < LINK_FITS
    assert not aside


def test_prompts_that_hold_what_divides_an_address_come_back_and_a_long_link_is_said_to_be_one(
    tmp_path: Path,
) -> None:
    prompt = 'a & b = c? #1 + "50%" 日本語 ' * 30
    one = f'{{title = "What?", message = {json.dumps(prompt, ensure_ascii=False)}}}'
    text = f"{AGENT}prompts = [{', '.join([one] * 4)}]\n"
    link, aside = manifest(tmp_path, text, "--link")
    [held] = parse_qs(urlsplit(link.strip()).query, strict_parsing=True)["manifest_json"]
    prompts = json.loads(held)["features"]["agent_view"]["suggested_prompts"]
    assert [one["message"].strip() for one in prompts] == [prompt.strip()] * 4
    assert "more than some browsers take" in aside
