"""The image's own steps, run without an engine, and what they made: as another user, with a read-only root.

They fetch what is locked, so only `make image-steps` runs them; CI builds the image itself. As root on Linux.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from tests.cli.command import WHOLE_TEST
from tests.deploy.starting import ROOT, healthy, started
from tests.e2e.people import SlackPeople, text_of
from tests.e2e.running import as_toml, at_rest, settings_for
from tests.e2e.town import Town
from tests.ports import free_port

IMAGE = ROOT / "deploy" / "image"
JOINED = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
FETCHING = 600.0  # seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(FETCHING + WHOLE_TEST),
    pytest.mark.skipif("THREADBRIDGE_IMAGE_STEPS" not in os.environ, reason="fetches; `make image-steps` runs it"),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="makes a root of its own, as root"),
]


def instruction(name: str) -> str:
    """The last of that name in the Dockerfile."""
    return str(re.findall(rf"^ *{name} +(.+)$", JOINED, re.MULTILINE)[-1])


USER, GROUP = instruction("USER").split(":")
PREFIX = "/opt/threadbridge"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Open to every user; not in /tmp, which the image's root has for itself."""
    with tempfile.TemporaryDirectory(prefix="threadbridge-image-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def prefix(folder: Path) -> Path:
    """What the Dockerfile's first stage makes, by its own line."""
    line = " ".join(re.findall(r"^RUN (deploy/image/wheel\.sh .+)$", JOINED, re.MULTILINE)[0].split())
    assert line == f"deploy/image/wheel.sh /src /wheel && deploy/image/install.sh /wheel {PREFIX}"
    wheel, made = folder / "wheel", folder / "prefix"
    for command in ([IMAGE / "wheel.sh", ROOT, wheel], [IMAGE / "install.sh", wheel, made]):
        subprocess.run([str(part) for part in command], check=True, timeout=FETCHING)
    return made


def alone(folder: Path, *command: str) -> list[str]:
    """The command as the image's user: nothing may be written but `folder` and /tmp, and nothing more be allowed."""
    made = "mount --make-rprivate / && mount --bind {0} {0} && mount -t tmpfs tmpfs /tmp && mount -o remount,bind,ro /"
    user = [
        "setpriv",
        "--reuid",
        USER,
        "--regid",
        GROUP,
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
    ]
    inside = f"cd {shlex.quote(str(folder))} && exec {shlex.join([*user, *command])}"
    return ["unshare", "--mount", "sh", "-ec", f"{made.format(shlex.quote(str(folder)))} && {inside}"]


def environment() -> dict[str, str]:
    """The image's."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(instruction("ENV")))
    assert pairs.pop("PATH") == f"{PREFIX}/bin:$PATH"
    return pairs


def test_no_pip_and_no_compiler_is_left(prefix: Path) -> None:
    python = str(prefix / "bin" / "python")
    for module in ("pip", "setuptools", "wheel", "hatchling"):
        ended = subprocess.run([python, "-m", module, "--version"], capture_output=True, text=True, check=False)
        assert "No module named" in ended.stderr
    assert not [path for path in prefix.rglob("*") if path.name in {"cc", "gcc", "pip", "pip3"}]


def test_none_but_root_may_change_it(prefix: Path) -> None:
    open_to_all = [path for path in prefix.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not open_to_all


def test_the_last_step_takes_pip_out_of_a_python(folder: Path) -> None:
    base = folder / "base"
    subprocess.run([sys.executable, "-m", "venv", str(base)], check=True)
    python = str(base / "bin" / "python")
    subprocess.run([str(IMAGE / "strip.sh"), python], check=True)
    ended = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    assert "No module named pip" in ended.stderr
    assert not list((base / "bin").glob("pip*"))


def test_nothing_may_be_written_but_its_data_and_tmp(prefix: Path, folder: Path) -> None:
    kept = folder / "kept"
    kept.mkdir()
    shutil.chown(kept, int(USER), int(GROUP))

    def touched(place: Path | str) -> bool:
        return subprocess.run(alone(kept, "touch", f"{place}/x"), capture_output=True, check=False).returncode == 0

    assert touched(kept)
    assert touched("/tmp")
    assert not [place for place in (prefix, folder, "/var/tmp", "/", Path.home()) if touched(place)]


async def test_it_serves_as_another_user_with_a_read_only_root(prefix: Path, folder: Path, town: Town) -> None:
    data = folder / "data"
    data.mkdir()
    settings = as_toml(settings_for(town, "slack", Path("threadbridge.db")))
    (data / "threadbridge.toml").write_text(settings, encoding="utf-8")
    for path in (data, data / "threadbridge.toml"):
        shutil.chown(path, int(USER), int(GROUP))

    port = free_port()
    variables = environment() | {
        "PATH": f"{prefix}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "THREADBRIDGE_HTTP__PORT": str(port),
    }
    [entry] = json.loads(instruction("ENTRYPOINT"))
    command = alone(data, str(prefix / "bin" / entry), *json.loads(instruction("CMD")))
    people = SlackPeople(town.slack)
    assert not await healthy(port, python=f"{prefix}/bin/python")
    async with started(command, variables, data, people) as process:
        assert await healthy(port, python=f"{prefix}/bin/python")
        held = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        assert re.findall(r"^(Uid|Gid):\t(\d+)", held, re.MULTILINE) == [("Uid", USER), ("Gid", GROUP)]
        thread = await people.say("ada", "general", "@threadbridge hello")
        await at_rest(data / "threadbridge.db", 1)
        assert "hello" in people.shown(thread)[-1].text
        process.terminate()
        assert await process.ended() == 0, process.log()


@pytest.mark.parametrize("any_database_url", ["postgres"], indirect=True)
async def test_two_replicas_on_postgresql_as_compose_starts_them(
    prefix: Path, folder: Path, town: Town, any_database_url: str
) -> None:
    services = YAML(typ="safe").load(ROOT / "deploy" / "compose.yaml")["services"]
    data = folder / "compose"
    data.mkdir()
    config = data / "settings.toml"
    config.write_text(as_toml(settings_for(town, "slack", Path("not-used.db"))), encoding="utf-8")
    variables = environment() | {"DATABASE_URL": any_database_url, "THREADBRIDGE_CONFIG": str(config)}
    program = str(prefix / "bin" / "threadbridge")

    migrating = await asyncio.create_subprocess_exec(
        program, *services["migrate"]["command"], env=variables, cwd=data, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await migrating.communicate()
    assert (migrating.returncode, b"the database is at" in said) == (0, True)

    people = SlackPeople(town.slack)
    async with AsyncExitStack() as replicas:
        ports = [free_port(), free_port()]
        processes = []
        for number, port in enumerate(ports):
            own = data / str(number)
            own.mkdir()
            its = variables | {"THREADBRIDGE_HTTP__PORT": str(port)}
            command = [program, *services["bridge"]["command"]]
            processes.append(await replicas.enter_async_context(started(command, its, own, people)))
        for process, port in zip(processes, ports, strict=True):
            await process.until(lambda port=port: ready(port))  # type: ignore[misc]
            assert await healthy(port, python=f"{prefix}/bin/python")
        thread = await people.say("ada", "general", "@threadbridge hello")
        await processes[0].until(lambda: "hello" in text_of(people.shown(thread)))
        for process in processes:
            process.terminate()
            assert await process.ended() == 0, process.log()
    assert not (data / "not-used.db").exists()


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
