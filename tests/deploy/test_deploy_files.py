"""What is in `deploy/` and `.github/` passes the checkers of its own kind, agrees with the code, and loads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bridge.agents import adapter_settings
from bridge.settings import Limits, load
from bridge.web import ENDS_WITHIN

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "threadbridge"
UNIT = DEPLOY / "systemd" / "threadbridge.service"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
PATIENCE = 100.0  # seconds
MAX_EXPOSURE = 15  # of systemd's 100: tenths of what it shows
SPARE = 20  # seconds that whatever runs a replica waits longer than its turns' grace and the HTTP server's
SECRETS = {
    "DATABASE_URL": "postgresql://threadbridge@database/threadbridge",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "SLACK_SIGNING_SECRET": "s",
    "DISCORD_TOKEN": "d",
}
SUPPORT = {"THREADBRIDGE_AGENTS__SUPPORT__API_KEY": "sk_1"}
FURTHER_SECRETS = {
    "many-agents.toml": SUPPORT
    | {
        "THREADBRIDGE_AGENTS__RESEARCH__API_KEY": "sk-1",
        "THREADBRIDGE_AGENTS__REPORTS__API_KEY": "k-1",
    },
    "replicas.toml": SUPPORT | {"THREADBRIDGE_HTTP__LINK_KEY": "k" * 32},
}


def check(*command: str | Path) -> None:
    tool, *arguments = map(str, command)
    found = BIN / tool if (BIN / tool).exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} isn't installed")
    ended = subprocess.run(
        [found, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


# --- by the checkers of their kind ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "Dockerfile"),
        ("shellcheck", *sorted((DEPLOY / "image").glob("*.sh")), ".ci/run"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS),
        ("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms",
         ".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml"),
        ("check-jsonschema", "--schemafile", CHART / "values.schema.json", CHART / "values.yaml"),
        ("check-jsonschema", "--check-metaschema", CHART / "values.schema.json"),
        ("yamllint", "--strict", ".github", ".pre-commit-config.yaml", DEPLOY / "compose.yaml", CHART / "Chart.yaml",
         CHART / "values.yaml"),
        ("zizmor", "--offline", "--persona", "pedantic", "--no-progress", ".github"),
        ("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}", UNIT),
    ],
    ids=lambda command: f"{command[0]}-{Path(command[-1]).name}",
)  # fmt: skip
def test_its_checker_finds_nothing(command: tuple[str | Path, ...]) -> None:
    check(*command)


@pytest.mark.slow
def test_systemd_understands_each_line_of_the_unit(tmp_path: Path) -> None:
    there = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    unit = tmp_path / UNIT.name
    unit.write_text(there, encoding="utf-8")
    check("systemd-analyze", "verify", unit)


# --- with the code -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((DEPLOY / "settings").glob("*.toml")), ids=lambda path: str(path.stem))
def test_settings_by_use_load_with_each_of_their_agents(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SECRETS | FURTHER_SECRETS.get(path.name, {})).items():
        monkeypatch.setenv(name, value)
    settings = load(path)
    assert settings.slack or settings.discord
    for name, table in settings.agents.items():
        adapter_settings(f"agents.{name}", table)


def test_settings_for_replicas_say_no_secret() -> None:
    text = (DEPLOY / "settings" / "replicas.toml").read_text(encoding="utf-8")
    held = tomllib.loads(text)
    assert not re.search(r"token|secret|api_key|link_key|password", json.dumps(held))


def test_the_chart_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = read_yaml(CHART / "Chart.yaml")
    assert (chart["appVersion"], chart["version"]) == (project["version"], project["version"])


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_whatever_runs_a_replica_waits_longer_than_its_turns_may_take() -> None:
    needed = Limits().grace + ENDS_WITHIN + SPARE
    compose = read_yaml(DEPLOY / "compose.yaml")
    [unit] = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    template = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    [longer] = re.findall(r"terminationGracePeriodSeconds: \{\{ add \.Values\.grace (\d+) \}\}", template)
    assert seconds(compose["services"]["bridge"]["stop_grace_period"]) >= needed
    assert int(unit) >= needed
    assert int(longer) >= ENDS_WITHIN + SPARE
    assert read_yaml(CHART / "values.yaml")["grace"] == Limits().grace


def test_what_the_chart_lets_prometheus_scrape_is_the_job_that_the_alerts_look_for() -> None:
    """Without the label, the job is called as the release."""
    template = (CHART / "templates" / "servicemonitor.yaml").read_text(encoding="utf-8")
    assert "\n  jobLabel: app.kubernetes.io/name\n" in template
    name = read_yaml(CHART / "Chart.yaml")["name"]
    assert f'up{{job="{name}"}}' in (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")


def test_the_chart_hands_its_grace_to_the_process() -> None:
    template = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    assert "- name: THREADBRIDGE_LIMITS__GRACE\n              value: {{ .Values.grace | quote }}" in template


def test_no_service_in_kubernetes_becomes_a_setting() -> None:
    """A service that is called threadbridge would set THREADBRIDGE_PORT, which is no setting and so an error."""
    for name in ("deployment.yaml", "migration.yaml"):
        assert "enableServiceLinks: false" in (CHART / "templates" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("service", ["database", "migrate", "bridge"])
def test_compose_runs_all_of_it_with_as_little_as_can_be(service: str) -> None:
    held = read_yaml(DEPLOY / "compose.yaml")["services"][service]
    assert held["read_only"] is True
    assert held["cap_drop"] == ["ALL"]
    assert held["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in held  # nothing is open on the machine, and replicas don't meet on a port


def test_the_image_copies_only_what_is_let_in() -> None:
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    for path in " ".join(copied).split():
        assert any(path == one or path.startswith(f"{one}/") for one in let_in), path


def test_each_action_is_pinned_by_its_hash() -> None:
    uses = [line for path in WORKFLOWS for line in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))]
    assert uses
    assert [one for one in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []
