"""A systemd unit for one settings file: that of `deploy/systemd`, which lies beside this module, too."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.resources import files
from pathlib import Path

from bridge.settings import SettingsError

NAME = "threadbridge.service"
COMMAND = "/opt/threadbridge/bin/threadbridge"
SETTINGS = "/etc/threadbridge/threadbridge.toml"
# Folders that the service can't see, or has of its own.
HIDDEN = tuple(f"/{folder}/" for folder in ("home", "root", "run/user", "tmp", "var/tmp"))


def text_for(settings: Path, command: str) -> str:
    """The unit that runs `command` with `settings`. Raises `SettingsError` for a path that no unit can name."""
    unit = (files("bridge.cli") / NAME).read_text(encoding="utf-8")
    return unit.replace(COMMAND, _quoted(command)).replace(SETTINGS, _named(str(settings.resolve())))


def command_for_service() -> str:
    """This installation's command; where a service can't see it, as in a home folder, one that is to be installed."""
    own = os.path.abspath(sys.argv[0])  # noqa: PTH100 - what links lead to may have another name
    seen = os.path.basename(own) == "threadbridge" and not own.startswith(HIDDEN)  # noqa: PTH119
    return own if seen and os.access(own, os.X_OK) else COMMAND


def how_to_install(unit: Path, command: str) -> str:
    """The steps, one a line."""
    steps = [
        f"sudo install -m 0644 {shlex.quote(str(unit))} /etc/systemd/system/",
        "sudo systemctl daemon-reload",
        "sudo systemctl enable --now threadbridge",
        "journalctl --unit threadbridge --follow",
    ]
    if not os.access(command, os.X_OK):
        folder = Path(command).parents[1]
        steps[:0] = [f"sudo python3 -m venv {folder}", f"sudo {folder}/bin/pip install threadbridge"]
    return "\n".join(f"  {step}" for step in steps)


def _named(path: str) -> str:
    if not path.isprintable():
        raise SettingsError(f"{path!r} has characters that no systemd unit can name")
    return path.replace("%", "%%")


def _quoted(command: str) -> str:
    path = _named(command)
    plain = not set(path) & set(" \t\"'\\;$")
    return path if plain else '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'
