"""The wheel and the source distribution: all that is needed, nothing else, and the version from one place."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # builds both

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("bridge", "adapters")
CODE = {".py", ".mako", ".html", ".js", ".css", ".typed", ".service", ".svg"}
PATIENCE = 100.0  # seconds


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
    return folder


def wheel_of(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


def sources() -> set[str]:
    """What people installed have to have, by what lies here."""
    found = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.suffix in CODE}
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_holds_the_code_its_templates_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(wheel_of(built)) as wheel:
        names = set(wheel.namelist())
    about = f"threadbridge-{PROJECT['version']}.dist-info"
    described = {
        f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert names == sources() | described
    needed = {"bridge/py.typed", "adapters/py.typed", "bridge/store/migrations/env.py",
              "bridge/store/migrations/script.py.mako", "bridge/playground/page/templates/page.html",
              "bridge/playground/page/static/page.js", "adapters/testing/contract.py"}  # fmt: skip
    assert needed <= names
    assert any(name.startswith("bridge/store/migrations/versions/") for name in names)


def test_the_source_distribution_holds_what_makes_the_wheel_and_nothing_else(built: Path) -> None:
    top = f"threadbridge-{PROJECT['version']}"
    with tarfile.open(built / f"{top}.tar.gz") as archive:
        names = {name.removeprefix(f"{top}/") for name in archive.getnames()}
    documents = {"README.md", "bridge/README.md", "adapters/README.md"}
    assert names == sources() | documents | {"LICENSE", "pyproject.toml", ".gitignore", "PKG-INFO"}


COMMANDS = """
from typer.testing import CliRunner
from bridge.cli.commands import app
for arguments in (["--version"], ["demo", "--help"]):
    print(CliRunner().invoke(app, arguments).output)
"""


def test_what_is_installed_tells_its_version_and_what_an_extra_is_for(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel_of(built)) as wheel:
        wheel.extractall(tmp_path)  # as installing does
    variables = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=tmp_path, env=variables, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    told, _, helped = ended.stdout.partition("\n")
    assert told == PROJECT["version"]
    assert 'Needs the extra "demo"' in helped


@pytest.mark.parametrize("name", ["Repository", "Issues", "Changelog", "Documentation"])
def test_the_project_is_found(name: str) -> None:
    assert PROJECT["urls"][name].startswith("https://github.com/threadbridge/threadbridge")
