"""Any server of the OpenAI API."""

from adapters.openai.agent import OpenAI

__all__ = ["OpenAI"]
