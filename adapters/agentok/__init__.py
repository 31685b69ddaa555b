"""Agentok Studio."""

from adapters.agentok.agent import Agentok

__all__ = ["Agentok"]
