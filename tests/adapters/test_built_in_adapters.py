"""What pyproject.toml registers is what type-checks as an adapter."""

from __future__ import annotations

import tomllib
from pathlib import Path
from pkgutil import resolve_name

from adapters.a2a.agent import A2A
from adapters.agentok.agent import Agentok
from adapters.base import Adapter
from adapters.echo import Echo
from adapters.enthusiast import Enthusiast
from adapters.fifthelement import FifthElement
from adapters.openai.agent import OpenAI
from adapters.sema4ai.agent import Sema4ai
from adapters.toqan import Toqan

BUILT_IN: dict[str, Adapter] = {
    "echo": Echo,
    "toqan": Toqan,
    "sema4ai": Sema4ai,
    "enthusiast": Enthusiast,
    "agentok": Agentok,
    "fifthelement": FifthElement,
    "openai": OpenAI,
    "a2a": A2A,
}


def test_every_adapter_is_registered() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    registered = project["entry-points"]["threadbridge.adapters"]
    assert {kind: resolve_name(place) for kind, place in registered.items()} == BUILT_IN


def test_settings_refuse_what_they_do_not_know() -> None:
    for adapter in BUILT_IN.values():
        assert adapter.Settings.model_config["extra"] == "forbid"
