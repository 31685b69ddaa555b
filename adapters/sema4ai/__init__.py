"""Sema4.ai's Agent API v2."""

from adapters.sema4ai.agent import Sema4ai

__all__ = ["Sema4ai"]
