"""Which people a text notifies and which addresses it makes Discord fetch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.playground.discord.errors import FormErrors
from bridge.playground.discord.model import Json

KINDS = ("roles", "users", "everyone")
MAX_ALLOWED = 100  # users or roles that allowed_mentions may list (documented)

_CODE = re.compile(r"```.*?```|``.+?``|`[^`\n]+`", re.DOTALL)
_USER = re.compile(r"<@!?(\d{1,20})>")
_ROLE = re.compile(r"<@&(\d{1,20})>")
_EVERYONE = re.compile(r"@(everyone|here)\b")
_URL = re.compile(r"https?://[^\s<>]+")
_HIDDEN_URL = re.compile(r"<https?://[^\s<>]+>")


@dataclass(slots=True)
class Mentions:
    """Those a text addresses, after `allowed_mentions` took its share away."""

    users: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    everyone: set[str] = field(default_factory=set)  # "@everyone", "@here"


def find_mentions(text: str, allowed: Json | None = None) -> Mentions:
    """Mentions in code don't count. Without `allowed` everybody who is mentioned is notified."""
    readable = _CODE.sub(" ", text)
    users = _unique(_USER.findall(readable))
    roles = _unique(_ROLE.findall(readable))
    everyone = {f"@{word}" for word in _EVERYONE.findall(readable)}
    if allowed is None:
        return Mentions(users, roles, everyone)
    parse = set(allowed.get("parse") or ())
    listed_users = {int(user) for user in allowed.get("users") or ()}
    listed_roles = {int(role) for role in allowed.get("roles") or ()}
    return Mentions(
        users=[user for user in users if "users" in parse or user in listed_users],
        roles=[role for role in roles if "roles" in parse or role in listed_roles],
        everyone=everyone if "everyone" in parse else set(),
    )


def find_unfurls(text: str) -> list[str]:
    """Addresses that get a preview: not those in code, and not those in angle brackets."""
    readable = _HIDDEN_URL.sub(" ", _CODE.sub(" ", text))
    return list(dict.fromkeys(url.rstrip(").,;:!?*_~|\"'") for url in _URL.findall(readable)))


def check_allowed_mentions(value: object, errors: FormErrors) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        errors.add("allowed_mentions", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return
    parse = value.get("parse") or []
    if not isinstance(parse, list) or any(kind not in KINDS for kind in parse):
        errors.choice("allowed_mentions.parse", KINDS)
        return
    for kind in ("users", "roles"):
        path = f"allowed_mentions.{kind}"
        listed = value.get(kind) or []
        if not isinstance(listed, list) or not all(str(item).isdigit() for item in listed):
            errors.add(path, "NUMBER_TYPE_COERCE", f'Value "{listed}" is not snowflake.')
        elif len(listed) > MAX_ALLOWED:
            errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_ALLOWED} or fewer in length.")
        elif kind in parse and listed:
            errors.add(
                "allowed_mentions",
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.',
            )


def _unique(ids: list[str]) -> list[int]:
    return list(dict.fromkeys(int(value) for value in ids))
