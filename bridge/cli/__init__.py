"""The commands. Each is a few lines that call a module."""

from bridge.cli.commands import main

__all__ = ["main"]
