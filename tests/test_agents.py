"""Kinds of agents: found by entry point, ours before all others, and a sentence for what can't be loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from adapters.echo import Echo
from bridge.agents import clashes, kinds, load_adapter
from bridge.ops.doctor import check_packages
from bridge.settings import SettingsError

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with these entry points in the adapters' group."""

    def install(package: str, points: str) -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[threadbridge.adapters]\n{points}\n")
        (tmp_path / f"{package.replace('-', '_')}.py").write_text("class Other:\n    pass\n")

    monkeypatch.syspath_prepend(tmp_path)
    return install


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a library's modules be not installed, and what imports them be not yet imported."""

    def hide(module: str, *importers: str) -> None:
        for name in [*sys.modules]:
            if name.split(".")[0] == module or name.startswith(importers):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)

    return hide


def test_a_package_cant_take_a_built_in_kinds_name(install: Install) -> None:
    # Before ours in the alphabet and on the path, as an attacker would have it.
    install("aaa-evil", "echo = aaa_evil:Other\nparrot = aaa_evil:Other")
    with structlog.testing.capture_logs() as logged:
        assert load_adapter("echo", "agents.x") is Echo
    (line,) = [one for one in logged if one["log_level"] == "warning"]
    assert (line["kind"], line["package"], line["serves"]) == ("echo", "aaa-evil", "threadbridge")
    assert "parrot" in kinds()
    (clash,) = [one for one in clashes() if one.kind == "echo"]
    assert clash.left_out == "aaa-evil"
    (finding,) = [one for one in check_packages() if "'echo'" in one.found]
    assert "aaa-evil" in finding.found + finding.fix


def test_of_two_packages_it_is_always_the_same_that_serves(install: Install) -> None:
    install("zebra", "budgie = zebra:Other")
    install("aardvark", "budgie = aardvark:Other")
    assert load_adapter("budgie", "agents.x").__module__ == "aardvark"
    assert [(one.serves, one.left_out) for one in clashes() if one.kind == "budgie"] == [("aardvark", "zebra")]


def test_without_packages_of_others_nothing_clashes() -> None:
    assert [one for one in clashes() if one.serves == "threadbridge"] == []


def test_a_package_that_cant_be_loaded_is_one_sentence(install: Install) -> None:
    install("broken", "cracked = broken_elsewhere:Other")
    with pytest.raises(SettingsError, match=r"agents.x: the kind 'cracked' of broken can't be loaded: No module"):
        load_adapter("cracked", "agents.x")


@pytest.mark.parametrize(("kind", "module"), [("openai", "openai"), ("a2a", "a2a")])
def test_a_missing_extra_is_one_sentence_that_names_it(
    hidden: Callable[..., None], kind: str, module: str
) -> None:
    hidden(module, f"adapters.{kind}")
    with pytest.raises(SettingsError) as caught:
        load_adapter(kind, "agents.x")
    assert str(caught.value) == (
        f"agents.x: the kind '{kind}' needs more than is installed: pip install \"threadbridge[{kind}]\""
    )
