"""The Web API's methods, by families; importing this fills the table."""

from bridge.playground.slack.methods import agents, chat, conversations, files, people, streams, views
from bridge.playground.slack.methods.table import METHODS, Arguments, Method

__all__ = [
    "METHODS",
    "Arguments",
    "Method",
    "agents",
    "chat",
    "conversations",
    "files",
    "people",
    "streams",
    "views",
]
