from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import discord
import pytest
from pydantic import SecretStr, ValidationError

from bridge.frontends.discord.invite import application_id, intents, invite_link
from bridge.frontends.discord.settings import API_URL, DiscordReactions, DiscordSettings

ELSEWHERE = {"api_url": "http://127.0.0.1:1/api/v10/", "gateway_url": "ws://127.0.0.1:1/gateway"}


def settings(**values: Any) -> DiscordSettings:
    return DiscordSettings.model_validate({"token": "abc", **values})


def test_defaults() -> None:
    assert settings().api_url == API_URL
    assert settings().gateway_url == ""


def test_another_address_loses_its_last_slash() -> None:
    assert settings(**ELSEWHERE).api_url == "http://127.0.0.1:1/api/v10"


def test_the_token_is_trimmed_and_never_shown() -> None:
    made = settings(token=" se.cr.et\n")
    assert made.token.get_secret_value() == "se.cr.et"
    assert "se.cr.et" not in repr(made)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"token": ""}, "token"),
        ({"token": "Bot abc"}, "token"),
        ({"api_url": "discord.com"}, "api_url"),
        ({"gateway_url": "https://gateway.discord.gg"}, "gateway_url"),
        ({"api_url": ELSEWHERE["api_url"]}, ""),
        ({"gateway_url": ELSEWHERE["gateway_url"]}, ""),
        ({"tokn": "abc"}, "tokn"),
    ],
)
def test_a_mistake_is_named_with_its_place(values: dict[str, str], place: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**values)
    (error,) = raised.value.errors()
    assert error["loc"] == ((place,) if place else ())


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (base64.urlsafe_b64encode(b"123456789012345678").decode().rstrip("=") + ".x.y", 123456789012345678),
        ("not-a-token", None),
        ("", None),
    ],
)
def test_the_application_is_read_from_the_token(token: str, expected: int | None) -> None:
    assert application_id(SecretStr(token)) == expected


def test_the_invite_asks_for_what_is_used_and_no_more() -> None:
    link = urlsplit(invite_link(1234))
    query = parse_qs(link.query)
    assert link.hostname == "discord.com"
    assert query["client_id"] == ["1234"]
    granted = {name for name, value in discord.Permissions(int(query["permissions"][0])) if value}
    assert granted == {
        "read_messages",
        "send_messages",
        "create_public_threads",
        "send_messages_in_threads",
        "read_message_history",
        "attach_files",
        "add_reactions",
    }


@pytest.mark.parametrize("message_content", [True, False])
def test_only_one_privileged_intent_is_asked_for(message_content: bool) -> None:
    asked = intents(message_content=message_content)
    assert asked.message_content is message_content
    assert not asked.members
    assert not asked.presences


@pytest.mark.parametrize("emoji", ["👀", "✅", "party:1234567890", ""])
def test_a_reaction_is_the_emoji_itself_or_a_servers_own(emoji: str) -> None:
    assert DiscordReactions(seen=emoji, ask=f" {emoji}").ask == emoji


@pytest.mark.parametrize("emoji", ["eyes", ":eyes:", "party:", "👀" * 30])
def test_a_reaction_of_another_form_is_refused(emoji: str) -> None:
    with pytest.raises(ValidationError, match="must be an emoji itself"):
        DiscordReactions(ask=emoji)


def test_reactions_are_only_heard_where_people_ask_by_them() -> None:
    assert not intents(message_content=True).reactions
    assert intents(message_content=True, reactions=True).reactions
