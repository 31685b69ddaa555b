"""The forms in which services take who asks."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from pydantic import SecretStr

from adapters.base import Person
from adapters.person import (
    MAX_HEADER,
    MAX_NAME,
    MAX_PAIR,
    PERSON_HEADER,
    TOKEN_HEADER,
    as_header,
    as_headers,
    as_object,
    as_pairs,
    pseudonym,
)

ADA = Person("slack", "U1", "Ada", "T1", "C1", ("7", "8"), "ada@example.com", SecretStr("signed"))
MANY_ROLES = tuple(str(10**18 + n) for n in range(250))  # as many as a server of Discord's may have
LONG = "x" * 10_000


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (None, {}),
        (Person("discord", "1"), {"platform": "discord", "id": "1"}),
        (
            ADA,
            {
                "platform": "slack",
                "id": "U1",
                "name": "Ada",
                "workspace": "T1",
                "channel": "C1",
                "email": "ada@example.com",
                "roles": ["7", "8"],
            },
        ),
        (Person("slack", "U1", "  \r\n "), {"platform": "slack", "id": "U1"}),
        (Person("slack", "U1", "half \ud83d"), {"platform": "slack", "id": "U1", "name": "half"}),
        (Person("slack", "U\ud83d"), {"platform": "slack", "id": "U?"}),
    ],
    ids=["nobody", "an id", "all", "an empty name", "half a character", "half a character in an id"],
)
def test_the_object_holds_what_is_not_empty(person: Person | None, told: dict[str, object]) -> None:
    assert as_object(person) == told


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada", "Ada"),
        ("Änn 🧵 日本語", "Änn 🧵 日本語"),
        ("Ada\r\nX-Evil: 1\r\n\r\n<html>", "Ada X-Evil: 1 <html>"),
        ("Ada\0\x7f\x1b[31m", "Ada [31m"),
        ("\u202eadA", "adA"),
        ('"}, {"id": "U2', '"}, {"id": "U2'),
        (LONG, "x" * (MAX_NAME - 1) + "…"),
        ("🧵" * 10_000, "🧵" * (MAX_NAME - 1) + "…"),
    ],
)
def test_no_name_breaks_out_of_a_header(name: str, shown: str) -> None:
    header = as_header(replace(ADA, name=name))
    assert header.isascii()
    assert header.isprintable()
    assert len(header) <= MAX_HEADER
    assert json.loads(header) == as_object(replace(ADA, name=shown))
    assert json.loads(header)["name"] == shown


@pytest.mark.parametrize(
    ("person", "lost"),
    [
        (ADA, set()),
        (replace(ADA, email=f"{LONG}@example.com"), {"email"}),
        (replace(ADA, channel=LONG), {"email", "name", "channel"}),
        (replace(ADA, workspace=LONG, channel=LONG), {"email", "name", "channel", "workspace"}),
    ],
    ids=["nothing", "the address", "the channel", "the places"],
)
def test_a_header_that_is_too_long_loses_what_matters_least(person: Person, lost: set[str]) -> None:
    header = as_header(person)
    assert len(header) <= MAX_HEADER
    told = as_object(person)
    assert json.loads(header) == {name: value for name, value in told.items() if name not in lost}


def test_of_too_many_roles_the_first_are_told() -> None:
    header = as_header(replace(ADA, roles=MANY_ROLES))
    assert MAX_HEADER - 25 < len(header) <= MAX_HEADER
    told = json.loads(header)
    assert told | {"roles": []} == as_object(ADA) | {"roles": []}
    assert tuple(told["roles"]) == MANY_ROLES[: len(told["roles"])]


def test_platform_and_id_always_stay_whole() -> None:
    person = Person("slack", LONG, LONG, LONG, LONG, (LONG,), LONG)
    assert json.loads(as_header(person)) == {"platform": "slack", "id": LONG}


def test_headers() -> None:
    assert as_headers(None) == {}
    assert as_headers(replace(ADA, token=None)) == {PERSON_HEADER: as_header(ADA)}
    assert as_headers(ADA) == {PERSON_HEADER: as_header(ADA), TOKEN_HEADER: "signed"}


def test_the_token_stands_in_no_other_form() -> None:
    assert "signed" not in f"{as_object(ADA)} {as_pairs(ADA)} {as_header(ADA)} {ADA!r} {pseudonym(ADA)}"


def test_pairs_are_short_texts() -> None:
    assert as_pairs(None) == {}
    assert as_pairs(ADA) == {
        "person_platform": "slack",
        "person_id": "U1",
        "person_name": "Ada",
        "person_workspace": "T1",
        "person_channel": "C1",
        "person_email": "ada@example.com",
        "person_roles": "7,8",
    }
    long = as_pairs(replace(ADA, email=LONG, roles=MANY_ROLES))
    assert "person_email" not in long
    assert max(map(len, long.values())) <= MAX_PAIR
    assert long["person_roles"].split(",") == list(MANY_ROLES[:25])
    assert "person_roles" not in as_pairs(replace(ADA, roles=(LONG,)))


def test_the_pseudonym_is_one_person_s_for_ever() -> None:
    known = pseudonym(Person("slack", "U1", workspace="T1"))
    assert known == sha256(b'["slack","T1","U1"]').hexdigest()
    assert pseudonym(ADA) == known, "whatever else is known"


@pytest.mark.parametrize(
    "other",
    [
        Person("discord", "U1", workspace="T1"),
        Person("slack", "U2", workspace="T1"),
        Person("slack", "U1", workspace="T2"),
        Person("slack", "1", workspace="T1U"),
        Person("slack", 'U1","', workspace="T1"),
    ],
)
def test_another_person_has_another_pseudonym(other: Person) -> None:
    assert pseudonym(other) != pseudonym(ADA)
    assert len(pseudonym(other)) == 64
