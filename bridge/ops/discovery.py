"""What kind of agent answers at an address: one with an A2A card, or a server of the OpenAI API.

Nothing is asked of an agent, and nobody there is trusted: answers are bounded in bytes and time, and a redirect to
another origin isn't followed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from adapters.base import AgentError, AuthenticationFailed, NotFound, ProtocolError, Rejected
from adapters.http.failures import WrongAddress
from adapters.http.service import Service
from adapters.text import one_line
from bridge.settings import SettingsError

LOOKED_FOR = 30.0  # seconds, all places together
OPENAI = "api.openai.com"
MAX_PORT = 65_535
MAX_MODELS = 2_000
MAX_NAME = 200  # characters of a model's id or of a card's name

CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
MODELS = ("", "/v1")  # before /models
_ENDS = ("/models", "/chat/completions", "/responses", *CARDS)  # of what people paste
_NO_QUESTION = (400, 422)  # how a server refuses an empty request
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


class KeyWanted(Exception):
    """Something is there, and shows itself only to whoever has a key."""


class KeyRefused(KeyWanted):
    """A key was shown, and wasn't good."""


@dataclass(frozen=True, slots=True)
class Card:
    """An A2A agent. `header` carries the key where the card says so; `wants_key`: the card says that one is needed."""

    base_url: str
    name: str
    wants_key: bool
    header: str = "Authorization"


@dataclass(frozen=True, slots=True)
class Models:
    """A server of the OpenAI API. `api`: what is safe of the adapter's two. Every server has chat; few of those that
    have Responses keep a conversation as OpenAI does."""

    base_url: str
    names: Sequence[str]
    api: str


def address(text: str) -> str:
    """The address as settings have it, without what people paste along. Raises `SettingsError`."""
    try:
        url = httpx.URL(text.strip())
        known = url.scheme in ("http", "https") and url.host and (url.port or 0) <= MAX_PORT
    except httpx.InvalidURL:
        known = False
    if not known:
        raise SettingsError("that is no address: it begins with https:// or http://")
    if url.userinfo:
        raise SettingsError("there is a key or a password in the address; leave it out, it is asked for")
    if url.query or url.fragment:
        raise SettingsError("leave out of the address what begins with ? or #")
    plain = str(url).rstrip("/")
    for end in _ENDS:
        plain = plain.removesuffix(end)
    return plain


async def discover(base: str, key: SecretStr | None, client: httpx.AsyncClient) -> Card | Models:
    """What is at an `address`.

    :raises KeyWanted: it wants a key, or refuses this one.
    :raises SettingsError: nothing is there that we know, or it can't be reached.
    """
    try:
        async with asyncio.timeout(LOOKED_FOR):
            return await _discover(base, key, client)
    except TimeoutError:
        raise SettingsError(f"{base} hasn't told within {LOOKED_FOR:g} seconds what it is") from None


async def _discover(base: str, key: SecretStr | None, client: httpx.AsyncClient) -> Card | Models:
    locked = False
    for found in _places(base):
        try:
            told = await _get(found.service(key, client), found.path)
            names = None if found.is_card else _models(told)
            if names is not None:
                await _try_key(found.service(key, client))
        except AuthenticationFailed:
            locked = True
            continue
        except (NotFound, Rejected, ProtocolError) as error:
            if isinstance(error, WrongAddress):
                raise SettingsError(f"no request can be sent to {base}") from None
            continue
        except AgentError as error:
            raise SettingsError(f"{base} can't be reached: {one_line(str(error))}") from None
        if found.is_card and (card := _card(found.base, told)):
            return card
        if names is not None:
            return Models(found.base, names, "responses" if httpx.URL(found.base).host == OPENAI else "chat")
    if locked:
        raise KeyRefused if key else KeyWanted
    raise SettingsError(
        f"{base} shows neither an A2A agent card ({CARDS[0]}) nor a list of models (/models);"
        " for other kinds of agents write [agents.NAME] into the settings"
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Something to look at: `base` is what would stand in the settings."""

    base: str
    path: str
    is_card: bool

    def service(self, key: SecretStr | None, client: httpx.AsyncClient) -> Service:
        shown = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        return Service(client, self.base, name="server", headers=shown, secret=key)


def _places(base: str) -> Iterator[_Place]:
    if base.endswith(".json"):
        yield _Place(base, "", is_card=True)
        return
    for path in CARDS:
        yield _Place(base, path, is_card=True)
    for version in MODELS:
        if not (version and base.endswith(version)):
            yield _Place(f"{base}{version}", "/models", is_card=False)


async def _get(service: Service, path: str) -> object:
    """The JSON there. Raises `AgentError`, of which a `ProtocolError` is what says nothing."""
    told: object = await service.get_json(path)
    return told


def _card(base: str, told: object) -> Card | None:
    """The card, if it is one: by what both versions of the protocol want of it."""
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        return None
    if not (isinstance(told.get("supportedInterfaces"), list) or isinstance(told.get("url"), str)):
        return None
    wants = told.get("securityRequirements") or told.get("security")
    header = next(_headers(told.get("securitySchemes")), "Authorization")
    return Card(base, one_line(told["name"], MAX_NAME), bool(wants), header)


def _headers(schemes: object) -> Iterator[str]:
    """The headers that carry a key, where no scheme takes it as usual."""
    if not isinstance(schemes, Mapping):
        return
    found: list[str] = []
    for scheme in schemes.values():
        inner = scheme.get("apiKeySecurityScheme", scheme) if isinstance(scheme, Mapping) else None
        if not isinstance(inner, Mapping):
            continue
        name = inner.get("name")
        if "header" not in (inner.get("in"), inner.get("location")):
            return
        if isinstance(name, str) and _HEADER.fullmatch(name):
            found.append(name)
    yield from found


def _models(told: object) -> list[str] | None:
    """The models' ids, if it is a list of models."""
    data = told.get("data") if isinstance(told, dict) else None
    if not isinstance(data, list):
        return None
    ids = [entry.get("id") for entry in data[:MAX_MODELS] if isinstance(entry, dict)]
    named = [one for one in ids if isinstance(one, str) and 0 < len(one) <= MAX_NAME and one.isprintable()]
    return None if data and not named else named


async def _try_key(service: Service) -> None:
    """Some show their models to everybody. A request without a question, which must be refused, tells whether the key
    is taken. Raises `AuthenticationFailed` where it isn't."""
    try:
        await service.request("POST", "/chat/completions", json={}, accept=_NO_QUESTION)
    except AuthenticationFailed:
        raise
    except AgentError:
        return
