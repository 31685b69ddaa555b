"""Who may ask an agent where: the decision, table by table."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.access import Access, AccessTable, Allowed, Reason, Refused, Unsure
from bridge.inbound import Address, Person, Standing

CHANNEL = Address("slack", "T1", "C1", "1.0")
DIRECT = Address("slack", "T1", "D1", "1.0")
SERVER = Address("discord", "100", "200", "300")
MESSAGES = Address("discord", "", "400", "400")

MEMBER = Person("U1", standing=Standing.MEMBER)
GUEST = Person("U1", standing=Standing.GUEST)
STRANGER = Person("U1", standing=Standing.STRANGER)
UNKNOWN = Person("U1", standing=Standing.UNKNOWN)
ADA = Person("7", roles=("70",), standing=Standing.MEMBER)
BOB = Person("8", standing=Standing.STRANGER)


def decide(address: Address, person: Person, **tables: dict[str, Any]) -> str:
    """`general`, `slack`, `discord` and `agent` are tables; the decision in a word."""
    made = {name: AccessTable.model_validate(table) for name, table in tables.items()}
    access = Access(
        made.get("general", AccessTable()),
        {name: made[name] for name in ("slack", "discord") if name in made},
        {"support": made["agent"]} if "agent" in made else {},
    )
    match access.decide("support", address, person):
        case Allowed():
            return "yes"
        case Unsure():
            return "unsure"
        case Refused(reason):
            return reason.value


@pytest.mark.parametrize(
    ("address", "person", "expected"),
    [
        (CHANNEL, MEMBER, "yes"),
        (DIRECT, MEMBER, "yes"),
        (CHANNEL, GUEST, "external"),
        (CHANNEL, STRANGER, "external"),
        (CHANNEL, UNKNOWN, "external"),
        (DIRECT, STRANGER, "external"),
        (SERVER, ADA, "yes"),
        (SERVER, BOB, "yes"),  # who writes in a server is a member of it
        (MESSAGES, ADA, "yes"),
        (MESSAGES, BOB, "external"),
        (CHANNEL, Person("U1"), "unsure"),
        (DIRECT, Person("U1"), "unsure"),
        (SERVER, Person("7"), "yes"),
        (MESSAGES, Person("7"), "unsure"),
    ],
)
def test_what_holds_without_a_word_in_the_settings(address: Address, person: Person, expected: str) -> None:
    assert decide(address, person) == expected


@pytest.mark.parametrize(
    ("table", "address", "person", "expected"),
    [
        ({"workspaces": ["T1"]}, CHANNEL, MEMBER, "yes"),
        ({"workspaces": ["T2"]}, CHANNEL, MEMBER, "place"),
        ({"workspaces": ["T2"]}, DIRECT, MEMBER, "place"),
        ({"workspaces": ["T2"]}, SERVER, ADA, "yes"),
        ({"servers": ["100"]}, SERVER, ADA, "yes"),
        ({"servers": ["101"]}, SERVER, ADA, "place"),
        ({"servers": ["101"]}, MESSAGES, ADA, "yes"),  # its standing is that in the servers that are served
        ({"servers": ["101"]}, CHANNEL, MEMBER, "yes"),
        ({"servers": ["!100"]}, SERVER, ADA, "person"),
        ({"servers": ["!101"]}, SERVER, ADA, "yes"),
        ({"channels": ["C1", "200"]}, CHANNEL, MEMBER, "yes"),
        ({"channels": ["C1", "200"]}, SERVER, ADA, "yes"),
        ({"channels": ["C2"]}, CHANNEL, MEMBER, "place"),
        ({"channels": ["C2"]}, DIRECT, MEMBER, "yes"),  # is no channel
        ({"channels": ["!C1"]}, CHANNEL, MEMBER, "person"),
        ({"people": ["slack:U1"]}, CHANNEL, MEMBER, "yes"),
        ({"people": ["slack:U2"]}, CHANNEL, MEMBER, "person"),
        ({"people": ["discord:7"]}, SERVER, ADA, "yes"),
        ({"people": ["discord:7"]}, CHANNEL, MEMBER, "person"),
        ({"people": ["!slack:U1"]}, CHANNEL, MEMBER, "person"),
        ({"people": ["!slack:U2"]}, CHANNEL, MEMBER, "yes"),
        ({"people": ["slack:U1", "!slack:U1"]}, CHANNEL, MEMBER, "person"),
        ({"people": ["slack:U1"]}, CHANNEL, GUEST, "external"),
        ({"roles": ["70"]}, SERVER, ADA, "yes"),
        ({"roles": ["70"]}, SERVER, BOB, "person"),
        ({"roles": ["70"], "people": ["discord:8"]}, SERVER, BOB, "yes"),
        ({"roles": ["70"], "people": ["discord:9"]}, SERVER, ADA, "yes"),
        ({"roles": ["!70"]}, SERVER, ADA, "person"),
        ({"roles": ["!70"], "people": ["discord:7"]}, SERVER, ADA, "person"),
        ({"roles": ["70"]}, SERVER, Person("7"), "unsure"),
        ({"roles": ["70"]}, CHANNEL, MEMBER, "yes"),  # nobody has roles there
        ({"direct_messages": "nobody"}, DIRECT, MEMBER, "direct"),
        ({"direct_messages": "nobody"}, CHANNEL, MEMBER, "yes"),
        ({"direct_messages": "nobody"}, MESSAGES, ADA, "direct"),
        ({"direct_messages": "listed"}, DIRECT, MEMBER, "direct"),
        ({"direct_messages": "listed", "people": ["slack:U1"]}, DIRECT, MEMBER, "yes"),
        ({"direct_messages": "listed", "people": ["discord:8"], "external": True}, MESSAGES, BOB, "yes"),
        ({"external": True}, CHANNEL, GUEST, "yes"),
        ({"external": True}, CHANNEL, STRANGER, "yes"),
        ({"external": True}, CHANNEL, UNKNOWN, "yes"),
        ({"external": True}, CHANNEL, Person("U1"), "yes"),
        ({"external": True}, DIRECT, GUEST, "yes"),
        ({"external": True}, DIRECT, STRANGER, "direct"),  # of no workspace that is served
        ({"external": True}, DIRECT, UNKNOWN, "direct"),
        ({"external": True}, MESSAGES, BOB, "direct"),
    ],
)
def test_each_key_of_the_table(table: dict[str, Any], address: Address, person: Person, expected: str) -> None:
    assert decide(address, person, general=table) == expected


@pytest.mark.parametrize(
    ("general", "narrow", "person", "expected"),
    [
        ({}, {"people": ["slack:U2"]}, MEMBER, "person"),
        ({"people": ["slack:U2"]}, {"people": ["slack:U1"]}, MEMBER, "person"),  # each list is a limit of its own
        ({"people": ["!slack:U1"]}, {"people": ["slack:U1"]}, MEMBER, "person"),
        ({"channels": ["C1"]}, {"channels": ["C2"]}, MEMBER, "place"),
        ({}, {"external": True}, GUEST, "yes"),
        ({"external": True}, {"external": False}, GUEST, "external"),
        ({"external": True}, {"people": ["slack:U1"]}, GUEST, "yes"),  # what it doesn't say is as in general
    ],
)
@pytest.mark.parametrize("narrower", ["slack", "agent"])
def test_a_platform_and_an_agent_have_tables_of_their_own(
    general: dict[str, Any], narrow: dict[str, Any], person: Person, expected: str, narrower: str
) -> None:
    assert decide(CHANNEL, person, general=general, **{narrower: narrow}) == expected


def test_the_agents_word_counts_before_the_platforms() -> None:
    assert decide(CHANNEL, GUEST, slack={"external": False}, agent={"external": True}) == "yes"
    assert decide(CHANNEL, MEMBER, discord={"people": ["discord:7"]}) == "yes", "of the other platform"


def test_without_any_table_nobody_is_refused() -> None:
    assert Access().decide("support", MESSAGES, UNKNOWN) == Allowed()


def test_with_a_standing_it_is_never_unsure() -> None:
    for standing in Standing:
        for address in (CHANNEL, DIRECT, SERVER, MESSAGES):
            person = Person("7", standing=standing)
            assert decide(address, person, general={"roles": ["70"]}) != "unsure"


def test_who_is_an_admin() -> None:
    general, agent = AccessTable(admins=("slack:U1",)), AccessTable(admins=("slack:U2",))
    access = Access(general, {}, {"support": agent})
    assert access.is_admin("support", CHANNEL, MEMBER)
    assert access.is_admin("support", CHANNEL, Person("U2"))
    assert not access.is_admin("other", CHANNEL, Person("U2"))
    assert not access.is_admin("support", SERVER, Person("U1")), "an id is its platform's"


def test_which_servers_members_may_write_directly() -> None:
    for servers, expected in (
        ((), True),
        (("100",), True),
        (("101",), False),
        (("!100",), False),
        (("!101",), True),
    ):
        assert Access(AccessTable(servers=servers)).serves("100") is expected, servers
    assert not Access(AccessTable(), {"discord": AccessTable(servers=("101",))}).serves("100")


@pytest.mark.parametrize(
    "table",
    [
        {"people": ["U1"]},
        {"people": ["slack:ada"]},
        {"people": ["discord:ada"]},
        {"admins": ["!slack:U1"]},
        {"channels": ["#general"]},
        {"roles": [""]},
        {"direct_messages": "all"},
        {"peoples": []},
    ],
)
def test_a_wrong_entry_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccessTable.model_validate(table)


def test_every_reason_is_met_above() -> None:
    assert {reason.value for reason in Reason} == {"place", "person", "direct", "external"}
