"""The dashboard and the alerts ask for what there is, and the alerts tell what they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from bridge import metrics
from bridge.ops.metrics import Scrape, Waiting

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana/threadbridge.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
SCRAPE = ROOT / "deploy/prometheus/scrape.yml"
DOCS = ROOT / ".github/docs/watching.md"

# Prometheus's own of each target, and the labels that it gives.
ITS_OWN = {"up": {"job", "instance"}}
GIVEN = {"job", "instance"}
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}


def series() -> Mapping[str, set[str]]:
    """The labels of every series that a scrape can have, by its name."""
    metrics.begin("1.0", ["support"], ["slack"])
    metrics.breaker_open.labels("support").set(0)
    metrics.throttled("slack", "chat.update")
    metrics.over_budget("slack", "person")
    found: dict[str, set[str]] = {}
    for family in Scrape({"slack": None}, True, Waiting(0, 0, 0)).collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def dashboard_expressions() -> Iterator[str]:
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield expression


def alert_expressions() -> Iterator[str]:
    """Their YAML has nothing that this doesn't read: an expression in a line, or indented below `expr:`."""
    for match in re.finditer(r"^ {8}expr: (?:[|>]-?\n((?: {10}.*\n)+)|(.*)\n)", ALERTS.read_text(), re.MULTILINE):
        yield match[1] or match[2]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """What is asked for: names, and the labels of their matchers."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None, expression
            found.append((node.name, {matcher.name for matcher in node.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


@pytest.mark.parametrize("expressions", [dashboard_expressions, alert_expressions], ids=["dashboard", "alerts"])
def test_what_is_asked_for_exists(expressions: Any) -> None:
    exists = {**ITS_OWN, **series()}
    asked = [one for expression in expressions() for one in selectors(expression)]
    assert len(asked) > 10
    for name, labels in asked:
        assert name in exists
        assert labels <= exists[name] | GIVEN, name


def test_every_alert_is_read_here() -> None:
    assert len(list(alert_expressions())) == ALERTS.read_text().count("- alert: ")


def test_the_dashboard_shows_everything() -> None:
    shown = {name for expression in dashboard_expressions() for name, _ in selectors(expression)}
    bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    counted = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series()}
    assert {name for name in counted if name.startswith("threadbridge_")} <= bare


def test_the_page_of_the_documentation_names_everything() -> None:
    page = DOCS.read_text()
    for name in series():
        if name.startswith("threadbridge_"):
            assert f"`{re.sub(r'_(bucket|count|sum)$', '', name)}`" in page
    for alert in re.findall(r"- alert: (\w+)", ALERTS.read_text()):
        assert f"`{alert}`" in page


def test_names_are_as_prometheus_wants_them() -> None:
    for family in Scrape({"slack": None}, True, Waiting(0, 0, 0)).collect():
        if family.name.startswith("process_"):
            continue
        assert re.fullmatch(r"threadbridge_[a-z0-9_]+", family.name)
        assert family.documentation
        assert not family.name.endswith("_total"), "a counter's family is named without it"
        for sample in family.samples:
            assert not set(sample.labels) & {"person", "channel", "thread", "turn", "workspace"}


def test_labels_are_few_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_methods", {})
    metrics.begin("1.0", ["support"], ["slack"])
    assert metrics.known("support") == "support"
    assert metrics.known("of last year") == metrics.OTHER
    for number in range(metrics.MAX_METHODS + 50):
        metrics.throttled("elsewhere", f"method.{number}")
    methods = {
        sample.labels["method"]
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name == "threadbridge_platform_throttled_total" and sample.labels["platform"] == "elsewhere"
    }
    assert metrics.OTHER in methods
    assert len(methods) == metrics.MAX_METHODS + 1


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool isn't installed (Debian: apt-get install prometheus)")
    return found


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_alerts_and_the_scrape(promtool: str) -> None:
    check(promtool, "check", "rules", ALERTS)
    check(promtool, "check", "config", SCRAPE)


def test_each_alert_tells_what_it_should(promtool: str, tmp_path: Path) -> None:
    for file in (ALERTS, Path(__file__).with_name("alerts_test.yml")):
        shutil.copyfile(file, tmp_path / file.name)
    check(promtool, "test", "rules", tmp_path / "alerts_test.yml")
