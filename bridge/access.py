"""Who may use an agent, and where: the tables of the settings, and the decision on plain values. No I/O, no state.

A table limits by lists. An entry with a leading "!" denies, and a denial in any table wins. Of the other entries each
list that has some lets through only what it names; of the general table, the platform's and the agent's all have to
let through. `external` and `direct_messages` are those of the narrowest table that has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

from bridge.inbound import Address, Person, Standing

DENY = "!"
PERSON = re.compile(r"!?(slack:[UW][A-Z0-9]+|discord:\d+)")
ID = re.compile(r"!?[A-Za-z0-9]+")

DirectMessages = Literal["members", "listed", "nobody"]


class AccessTable(BaseModel):
    """`[access]`, `[slack.access]`, `[discord.access]` and `[agents.NAME.access]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workspaces: tuple[str, ...] = ()  # Slack
    servers: tuple[str, ...] = ()  # Discord
    channels: tuple[str, ...] = ()
    people: tuple[str, ...] = ()  # "slack:U…", "discord:…"
    roles: tuple[str, ...] = ()  # Discord; who has one of them is named as if by `people`
    direct_messages: DirectMessages | None = None
    external: bool | None = None
    admins: tuple[str, ...] = ()

    @field_validator("workspaces", "servers", "channels", "roles")
    @classmethod
    def _are_ids(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [entry for entry in entries if not ID.fullmatch(entry)]:
            raise PydanticCustomError("id", "{found} isn't an id", {"found": repr(wrong[0])})
        return entries

    @field_validator("people", "admins")
    @classmethod
    def _are_people(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [entry for entry in entries if not PERSON.fullmatch(entry)]:
            raise PydanticCustomError(
                "person", '{found} isn\'t a person: write "slack:U…" or "discord:…"', {"found": repr(wrong[0])}
            )
        return entries

    @field_validator("admins")
    @classmethod
    def _deny_nobody(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        if any(entry.startswith(DENY) for entry in entries):
            raise PydanticCustomError("admins", "an admin can't be denied: leave the entry out")
        return entries


class Reason(StrEnum):
    """Why somebody is refused."""

    PLACE = "place"
    PERSON = "person"
    DIRECT = "direct"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason


@dataclass(frozen=True, slots=True)
class Unsure:
    """It depends on the person's standing or roles, which nobody has looked up yet (`Person.standing` is None)."""


@dataclass(frozen=True, slots=True)
class Access:
    """All tables. Without a general one nobody is refused anything."""

    general: AccessTable | None = None
    platforms: Mapping[str, AccessTable] = field(default_factory=dict)
    agents: Mapping[str, AccessTable] = field(default_factory=dict)

    def decide(self, agent: str, address: Address, person: Person) -> Allowed | Refused | Unsure:
        """Whether a person may ask an agent there. With `Person.standing` it is never unsure."""
        if self.general is None:
            return Allowed()
        tables = self._tables(agent, address)
        named = _person(address, person)
        direct = is_direct(address)
        if any(_denied(table, address, named) for table in tables):
            return Refused(Reason.PERSON)
        if not direct and not all(_place_is_named(table, address) for table in tables):
            return Refused(Reason.PLACE)
        if direct and address.platform == "slack" and not all(_workspace(table, address) for table in tables):
            return Refused(Reason.PLACE)
        messages = _narrowest([table.direct_messages for table in tables]) or "members"
        if direct and (messages == "nobody" or (messages == "listed" and not _is_listed(tables, named))):
            return Refused(Reason.DIRECT)
        if person.standing is None and _depends(tables, address):
            return Unsure()
        if any(_has(table.roles, person.roles, denied=True) for table in tables):
            return Refused(Reason.PERSON)
        if not all(_person_is_named(table, address, person, named) for table in tables):
            return Refused(Reason.PERSON)
        external = bool(_narrowest([table.external for table in tables]))
        if _is_external(address, person) and not external:
            return Refused(Reason.EXTERNAL)
        if direct and messages == "members" and person.standing not in (Standing.MEMBER, Standing.GUEST):
            return Refused(Reason.DIRECT)
        return Allowed()

    def is_admin(self, agent: str, address: Address, person: Person) -> bool:
        """Whether a person may stop, retry and decide for others."""
        tables = self._tables(agent, address) if self.general is not None else ()
        return any(_person(address, person) in table.admins for table in tables)

    def serves(self, server: str) -> bool:
        """Whether a Discord server is served, by the general table and the platform's."""
        tables = [table for table in (self.general, self.platforms.get("discord")) if table is not None]
        return all(
            _lets(table.servers, (server,)) and not _has(table.servers, (server,), denied=True) for table in tables
        )

    def may_install(self, workspace: str) -> bool:
        """Whether a Slack workspace, or an organisation, is served, by the general table and the platform's."""
        tables = [table for table in (self.general, self.platforms.get("slack")) if table is not None]
        return all(
            _workspace(table, Address("slack", workspace, "", ""))
            and not _has(table.workspaces, (workspace,), denied=True)
            for table in tables
        )

    @property
    def lists_servers(self) -> bool:
        """Whether the Discord servers that are served are named."""
        tables = [table for table in (self.general, self.platforms.get("discord")) if table is not None]
        return any(not entry.startswith(DENY) for table in tables for entry in table.servers)

    def _tables(self, agent: str, address: Address) -> Sequence[AccessTable]:
        found = (self.general, self.platforms.get(address.platform), self.agents.get(agent))
        return [table for table in found if table is not None]


def is_direct(address: Address) -> bool:
    """Whether a thread is a direct message with the bot."""
    return not address.workspace if address.platform == "discord" else address.channel.startswith("D")


def _person(address: Address, person: Person) -> str:
    return f"{address.platform}:{person.id}"


def _narrowest(values: Sequence[bool | None] | Sequence[DirectMessages | None]) -> bool | DirectMessages | None:
    return next((value for value in reversed(values) if value is not None), None)


def _has(entries: Iterable[str], ids: Iterable[str], *, denied: bool = False) -> bool:
    wanted = {f"{DENY}{one}" for one in ids} if denied else set(ids)
    return any(entry in wanted for entry in entries)


def _lets(entries: Sequence[str], ids: Iterable[str]) -> bool:
    """Whether a list without denials is empty, or names one of these."""
    limits = [entry for entry in entries if not entry.startswith(DENY)]
    return not limits or _has(limits, ids)


def _workspaces(table: AccessTable, address: Address) -> Sequence[str]:
    return table.workspaces if address.platform == "slack" else table.servers


def _denied(table: AccessTable, address: Address, named: str) -> bool:
    return (
        _has(table.people, (named,), denied=True)
        or _has(table.channels, (address.channel,), denied=True)
        or _has(_workspaces(table, address), (address.workspace,), denied=True)
    )


def _workspace(table: AccessTable, address: Address) -> bool:
    return _lets(_workspaces(table, address), (address.workspace,))


def _place_is_named(table: AccessTable, address: Address) -> bool:
    return _workspace(table, address) and _lets(table.channels, (address.channel,))


def _person_is_named(table: AccessTable, address: Address, person: Person, named: str) -> bool:
    limits = [entry for entry in table.people if not entry.startswith(DENY)]
    if address.platform == "discord":  # nobody has roles elsewhere
        limits += [entry for entry in table.roles if not entry.startswith(DENY)]
    return not limits or _has(limits, (named, *person.roles))


def _is_listed(tables: Sequence[AccessTable], named: str) -> bool:
    return any(named in table.people for table in tables)


def _depends(tables: Sequence[AccessTable], address: Address) -> bool:
    """Whether a person's standing or roles can change the decision."""
    if address.platform == "discord":
        return is_direct(address) or any(table.roles for table in tables)
    return is_direct(address) or not _narrowest([table.external for table in tables])


def _is_external(address: Address, person: Person) -> bool:
    """Whoever writes in a Discord server is a member of it."""
    if address.platform == "discord" and not is_direct(address):
        return False
    return person.standing is not Standing.MEMBER


@dataclass(frozen=True, slots=True)
class TurnsPerHour:
    """0: no limit."""

    person: int = 0
    channel: int = 0
    agents: Mapping[str, int] = field(default_factory=dict)
