"""Simulated backends, and the settings that point an agent of each kind at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.testing.backends import agentok, enthusiast, fifthelement, openai, sema4ai
from adapters.testing.backends.a2a import A2ABackend
from adapters.testing.backends.base import Backend
from adapters.testing.backends.toqan import ToqanBackend


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated backend and the `[agents.NAME]` keys that reach it; `path` follows its own address."""

    backend: Backend
    path: str
    settings: Mapping[str, Any]

    def table(self, address: str) -> dict[str, Any]:
        return {"base_url": f"{address}{self.path}", "api_key": self.backend.key, **self.settings}


def simulated_backends() -> dict[str, Simulated]:
    """A fresh one of every kind."""
    return {
        "toqan": Simulated(ToqanBackend(), "", {}),
        "sema4ai": Simulated(sema4ai.Sema4aiBackend(), "", {"agent_id": sema4ai.AGENT_NAME}),
        "enthusiast": Simulated(
            enthusiast.EnthusiastBackend(),
            "",
            {"data_set_id": enthusiast.DATA_SET, "agent_id": enthusiast.AGENT},
        ),
        "agentok": Simulated(
            agentok.AgentokBackend(), "", {"from_type": "project", "from_project": agentok.SOURCE}
        ),
        "fifthelement": Simulated(
            fifthelement.FifthElementBackend(), fifthelement.ROOT, {"slug": fifthelement.SLUG}
        ),
        "openai": Simulated(
            openai.OpenAIBackend(), "/v1", {"model": openai.MODEL, "effort": "low", "mcp": [openai.MCP_SERVER]}
        ),
        "a2a": Simulated(A2ABackend(), "", {}),
    }
