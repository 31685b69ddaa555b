"""Any agent that speaks Agent2Agent."""

from adapters.a2a.agent import A2A

__all__ = ["A2A"]
