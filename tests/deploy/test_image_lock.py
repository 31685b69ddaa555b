"""What the image installs is locked: all of it, in the versions that the tests passed with, by hashes alone."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"
LOCKS = ("requirements.lock", "build.lock")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # one of them is in the image
ENTRY = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+) ; (?P<marker>[^\\]+) \\\n(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")  # fmt: skip  # noqa: E501

Wanted = set[tuple[str, str]]


def locked(lock: str) -> dict[str, str]:
    """The version of each distribution."""
    text = (IMAGE / lock).read_text(encoding="utf-8")
    entries = list(ENTRY.finditer(text))
    assert "".join(re.findall(r"^(?!#).*\n", text, re.MULTILINE)) == "".join(entry[0] for entry in entries)
    return {entry["name"]: entry["version"] for entry in entries}


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def image_extras() -> list[str]:
    [extras] = re.findall(r"^IMAGE_EXTRAS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return str(extras).split()


def environment(python: str, extra: str) -> dict[str, str]:
    found = {key: str(value) for key, value in default_environment().items()}
    return found | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "extra": extra,
    }


def closure(python: str) -> set[str]:
    """The distributions that the image's extras need, by what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = [*project["dependencies"]]
    for extra in image_extras():
        direct += project["optional-dependencies"][extra]
    waiting = [Requirement(line) for line in direct]
    seen: Wanted = set()
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                lines = requires(requirement.name) or []
            except PackageNotFoundError:
                continue  # for another Python; its lock's entry says what it needs
            inner = [Requirement(line) for line in lines]
            waiting += [
                one for one in inner if one.marker is None or one.marker.evaluate(environment(python, extra))
            ]
    return {name for name, _ in seen}


@pytest.mark.parametrize("lock", LOCKS)
def test_each_is_a_version_with_hashes_and_no_address(lock: str) -> None:
    assert locked(lock)
    assert "://" not in (IMAGE / lock).read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", LOCKS)
def test_the_versions_are_those_that_the_tests_passed_with(lock: str) -> None:
    tested = constraints()
    assert {name: tested.get(name) for name in locked(lock)} == locked(lock), "run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_the_image_needs_is_locked(python: str) -> None:
    missing = closure(python) - set(locked("requirements.lock"))
    assert not missing, f"not locked: {sorted(missing)}; run `make lock`"


def test_the_images_extras_are_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"postgres", "openai", "a2a", "mcp"} <= set(image_extras()) <= set(project["optional-dependencies"])


def test_the_build_tool_is_locked() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert {canonicalize_name(Requirement(line).name) for line in build["requires"]} <= set(locked("build.lock"))
