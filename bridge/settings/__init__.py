"""The settings: a module a table, `root` the whole, `loading` how it is read, `wording` what a mistake is told in."""

from bridge.settings.agents import AgentTable, Route, TranscriptionSettings
from bridge.settings.data import DataSettings
from bridge.settings.http import HttpSettings
from bridge.settings.limits import Limits
from bridge.settings.loading import DEFAULT_FILE, load, settings_given, settings_path
from bridge.settings.logs import LogSettings
from bridge.settings.root import ENVIRONMENT, Settings
from bridge.settings.wording import SettingsError, sentences

__all__ = [
    "DEFAULT_FILE",
    "ENVIRONMENT",
    "AgentTable",
    "DataSettings",
    "HttpSettings",
    "Limits",
    "LogSettings",
    "Route",
    "Settings",
    "SettingsError",
    "TranscriptionSettings",
    "load",
    "sentences",
    "settings_given",
    "settings_path",
]
