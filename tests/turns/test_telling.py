"""What an agent is told of who asks, by its settings; and the token that its backend verifies."""

from __future__ import annotations

from dataclasses import replace

import jwt
import pytest
from pydantic import SecretStr

from adapters.base import Person
from bridge import inbound
from bridge.inbound import Address
from bridge.turns.person import ALGORITHM, ISSUER, TOKEN_SECONDS, Level, Telling, from_platform

KEY = "k" * 32
ADA = Person("slack", "U1", "Ada", "T1", "C1", ("7",), "ada@example.com")
AT = 1_700_000_000.9


@pytest.mark.parametrize(
    ("level", "told"),
    [("none", None), ("id", replace(ADA, name="", email="")), ("full", ADA)],
)
def test_as_much_is_told_as_the_settings_let_through(level: Level, told: Person | None) -> None:
    assert Telling("support", level).person(ADA) == told


def test_ids_alone_are_told_unless_the_settings_say_otherwise() -> None:
    assert Telling("support").person(ADA) == replace(ADA, name="", email="")


def verified(token: SecretStr | None, **other: str) -> dict[str, object]:
    """As the guide tells a backend to, less the time."""
    assert token is not None
    claims: dict[str, object] = jwt.decode(
        token.get_secret_value(),
        other.get("key", KEY),
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        audience=other.get("audience", "support"),
        options={"verify_exp": False, "verify_iat": False},
    )
    return claims


@pytest.mark.parametrize("level", ["id", "full"])
def test_the_token_says_who_asks_whom_and_for_how_long(level: Level) -> None:
    told = Telling("support", level, SecretStr(KEY)).person(ADA, at=AT)
    assert told is not None
    assert verified(told.token) == {
        "iss": "threadbridge",
        "sub": "slack:U1",
        "aud": "support",
        "iat": 1_700_000_000,
        "exp": 1_700_000_000 + TOKEN_SECONDS,
        "platform": "slack",
        "workspace": "T1",
        "channel": "C1",
    }
    assert KEY not in repr(Telling("support", level, SecretStr(KEY)))
    assert "eyJ" not in repr(told)


def test_a_token_for_another_agent_or_by_another_key_is_refused() -> None:
    told = Telling("support", "id", SecretStr(KEY)).person(ADA)
    assert told is not None
    with pytest.raises(jwt.InvalidAudienceError):
        verified(told.token, audience="research")
    with pytest.raises(jwt.InvalidSignatureError):
        verified(told.token, key="x" * 32)


def test_a_token_that_is_old_is_refused() -> None:
    told = Telling("support", "id", SecretStr(KEY)).person(ADA, at=AT)
    assert told is not None
    assert told.token is not None
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(told.token.get_secret_value(), KEY, algorithms=[ALGORITHM], audience="support")


def test_an_id_that_utf_8_cannot_carry_is_signed_all_the_same() -> None:
    told = Telling("support", "id", SecretStr(KEY)).person(replace(ADA, id="U\ud83d"))
    assert told is not None
    assert verified(told.token)["sub"] == "slack:U?"


@pytest.mark.parametrize(
    ("own", "workspace"), [("", "T1"), ("T1", "T1"), ("T9", "T9")], ids=["unknown", "ours", "another"]
)
def test_who_comes_from_outside_is_not_taken_for_one_of_us(own: str, workspace: str) -> None:
    person = inbound.Person("U1", "Ada", own, ("7",))
    there = from_platform(person, Address("slack", "T1", "C1", "1.0"), name="Ada L.", email="a@example.com")
    assert there == Person("slack", "U1", "Ada L.", workspace, "C1", ("7",), "a@example.com")
