"""The forms in which services take who asks. No I/O.

| form | for |
|---|---|
| `as_object` | a message's metadata: the fields that aren't empty |
| `as_pairs` | metadata of short texts, as OpenAI has it |
| `as_headers` | any other service: `X-Threadbridge-Person`, and `X-Threadbridge-Token` where there is a token |
| `pseudonym` | a service that wants one opaque, stable id of a user |

The token goes by header alone: what stands in metadata is kept by the service, and shown to others.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from adapters.base import Person
from adapters.text import one_line, scrub

PERSON_HEADER = "X-Threadbridge-Person"
TOKEN_HEADER = "X-Threadbridge-Token"  # noqa: S105 - the name of a header

MAX_HEADER = 4_096  # bytes of `PERSON_HEADER`: servers take 8 KB of one, or of all together
MAX_NAME = 80  # characters; Slack's own limit of a name, Discord's is 32
MAX_PAIR = 512  # characters of a value in OpenAI's metadata

# What a header that is too long does without, first to last, once no role is left; a part of one would name another.
_DISPENSABLE = ("email", "name", "channel", "workspace")


def as_object(person: Person | None) -> dict[str, Any]:
    """The fields that aren't empty, without the token; nothing for nobody. The name is on one line, of `MAX_NAME`
    characters at most."""
    if person is None:
        return {}
    fields: dict[str, Any] = {
        "platform": person.platform,
        "id": person.id,
        "name": one_line(person.name, MAX_NAME),
        "workspace": person.workspace,
        "channel": person.channel,
        "email": person.email,
    }
    told: dict[str, Any] = {name: scrub(value) for name, value in fields.items() if value}
    return told | {"roles": [scrub(role) for role in person.roles]} if person.roles else told


def as_pairs(person: Person | None) -> dict[str, str]:
    """The same as texts: `person_platform`, `person_id` and so on, roles with commas between. What doesn't fit into
    `MAX_PAIR` characters is left out, of the roles the last."""
    told = as_object(person)
    if roles := told.pop("roles", None):
        while len(joined := ",".join(roles)) > MAX_PAIR:
            roles.pop()
        told["roles"] = joined
    return {f"person_{name}": value for name, value in told.items() if value and len(value) <= MAX_PAIR}


def as_header(person: Person) -> str:
    """The object as ASCII JSON of at most `MAX_HEADER` bytes. What is too long loses roles from the end, then the
    e-mail address, the name, the places. Platform and id always stay, and whole."""
    told = as_object(person)
    roles = told.pop("roles", [])
    for name in _DISPENSABLE:
        if len(_json(told)) > MAX_HEADER:
            told.pop(name, None)
    room = MAX_HEADER - len(_json(told | {"roles": []}))
    kept: list[str] = []
    for role in roles:
        room -= len(_json(role)) + 1  # and a comma
        if room < 0:
            break
        kept.append(role)
    return _json(told | {"roles": kept} if kept else told)


def as_headers(person: Person | None) -> dict[str, str]:
    """The headers of a request that asks; none for nobody."""
    if person is None:
        return {}
    headers = {PERSON_HEADER: as_header(person)}
    if person.token is not None:
        headers[TOKEN_HEADER] = person.token.get_secret_value()
    return headers


def pseudonym(person: Person) -> str:
    """An opaque id, the same for ever for the same person: 64 hexadecimal digits, SHA-256 over platform, workspace
    and id. It hides a name, not an id that somebody can guess."""
    known = _json([person.platform, person.workspace, person.id])
    return hashlib.sha256(known.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
