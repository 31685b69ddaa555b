from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.frontends.slack.manifest import EMAIL_SCOPE, EVENTS, LEAVING, SCOPES, missing_scopes, slack_manifest
from bridge.frontends.slack.settings import SlackSettings
from bridge.playground.slack.methods import METHODS
from bridge.playground.slack.permissions import EVENT_SCOPES
from bridge.prompts import Prompt
from bridge.settings import Settings

SOCKET = {"bot_token": "xoxb-1", "app_token": "xapp-1"}
HTTP = {"mode": "http", "bot_token": "xoxb-1", "signing_secret": "s"}


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"bot_token": "xoxb-1"}, "app_token"),
        ({"bot_token": "xapp-1", "app_token": "xapp-1"}, "xoxb-"),
        ({"bot_token": "xoxb-1", "app_token": "xoxb-1"}, "xapp-"),
        ({"mode": "http", "bot_token": "xoxb-1"}, "signing_secret"),
        ({"mode": "http", "bot_token": "xoxb-1", "signing_secret": ""}, "signing_secret"),
        ({**SOCKET, "mode": "carrier-pigeon"}, "socket"),
        ({**SOCKET, "api_url": "slack.com"}, "url"),
        ({**SOCKET, "bot_tokn": "x"}, "bot_tokn"),
        ({**SOCKET, "command": "agent"}, "command"),
        ({**SOCKET, "loading": ["x"] * 11}, "loading"),
        ({**SOCKET, "loading": ["x" * 51]}, "loading"),
        ({**SOCKET, "prompts_title": "x" * 101}, "prompts_title"),
        ({**SOCKET, "command": "/two words"}, "command"),
    ],
)
def test_a_mistake_says_what_to_do_and_no_secret(values: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SlackSettings.model_validate(values)
    (error,) = caught.value.errors()
    assert hint in f"{error['loc']} {error['msg']}"


def test_an_address_gets_its_slash() -> None:
    settings = SlackSettings.model_validate({**SOCKET, "api_url": "http://127.0.0.1:1/api"})
    assert settings.api_url == "http://127.0.0.1:1/api/"


def test_tokens_are_not_shown() -> None:
    assert "xoxb-1" not in repr(SlackSettings.model_validate(SOCKET))


@pytest.mark.parametrize("settings", [SlackSettings.model_validate(SOCKET), None])
def test_the_manifest_of_socket_mode_has_no_addresses(settings: SlackSettings | None) -> None:
    made = slack_manifest(settings)
    assert made["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in str(made)
    assert "agent_view" in made["features"]
    assert made["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)


def test_the_manifest_has_a_home_tab_and_the_agents_prompts() -> None:
    own = [Prompt(title="Sales", message="How are sales?")]
    made = slack_manifest(prompts=own)["features"]
    assert made["agent_view"]["suggested_prompts"] == [{"title": "Sales", "message": "How are sales?"}]
    assert made["app_home"]["home_tab_enabled"] is True
    assert "app_home_opened" in EVENTS
    assert 0 < len(slack_manifest()["features"]["agent_view"]["suggested_prompts"]) <= 4


def test_the_manifest_of_http_mode_says_where_to() -> None:
    made = slack_manifest(SlackSettings.model_validate(HTTP), public_url="https://bot.example/")
    url = "https://bot.example/slack/events"
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["event_subscriptions"]["request_url"] == url
    assert made["settings"]["interactivity"]["request_url"] == url
    assert made["features"]["slash_commands"][0]["url"] == url


def test_every_event_has_its_scope() -> None:
    assert {EVENT_SCOPES[event] for event in EVENTS if event in EVENT_SCOPES} <= set(SCOPES)


def test_missing_scopes() -> None:
    granted = ",".join(scope for scope in SCOPES if scope != "files:read")
    assert missing_scopes(granted) == ["files:read"]
    assert missing_scopes(", ".join(SCOPES)) == []


def test_the_scope_for_addresses_is_asked_for_by_its_setting_alone() -> None:
    without, with_it = (SlackSettings.model_validate({**SOCKET, "emails": emails}) for emails in (False, True))
    assert EMAIL_SCOPE not in slack_manifest(without)["oauth_config"]["scopes"]["bot"]
    assert slack_manifest(with_it)["oauth_config"]["scopes"]["bot"] == [*SCOPES, EMAIL_SCOPE]
    assert missing_scopes(",".join(SCOPES), without) == []
    assert missing_scopes(",".join(SCOPES), with_it) == [EMAIL_SCOPE]


# What the front end calls and listens to. `commands` is what a slash command needs.
CALLED = (
    "agents.sessions.setStatus",
    "assistant.threads.setStatus",
    "assistant.threads.setSuggestedPrompts",
    "assistant.threads.setTitle",
    "bots.info",
    "chat.postMessage",
    "conversations.history",
    "conversations.open",
    "conversations.replies",
    "files.completeUploadExternal",
    "files.info",
    "reactions.add",
    "users.info",
)


MANY = {"client_id": "1.2", "client_secret": "s", "app_token": "xapp-1"}


def test_the_manifest_of_many_workspaces_says_where_to_come_back() -> None:
    many = SlackSettings.model_validate(MANY)
    made = slack_manifest(many, public_url="https://bot.example")
    assert made["oauth_config"]["redirect_urls"] == ["https://bot.example/slack/oauth_redirect"]
    assert set(LEAVING) <= set(made["settings"]["event_subscriptions"]["bot_events"])
    assert (made["settings"]["org_deploy_enabled"], made["settings"]["token_rotation_enabled"]) == (False, False)
    wide = SlackSettings.model_validate(MANY | {"org_install": True, "token_rotation": True})
    made = slack_manifest(wide)["settings"]
    assert (made["org_deploy_enabled"], made["token_rotation_enabled"]) == (True, True)
    assert "redirect_urls" not in slack_manifest()["oauth_config"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (MANY | {"bot_token": "xoxb-1"}, "bot_token serves one workspace and client_id many"),
        (MANY | {"client_secret": ""}, "client_id and client_secret belong together"),
        ({"client_secret": "s", "app_token": "xapp-1"}, "client_id and client_secret belong together"),
        ({"app_token": "xapp-1"}, "one workspace needs bot_token"),
        (MANY | {"client_id": "my app"}, "client_id"),
    ],
)
def test_one_workspace_or_many(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SlackSettings.model_validate(given)


def test_many_workspaces_need_a_key_and_an_address() -> None:
    agents = {"echo": {"kind": "echo"}}
    key = {"keys": ["A" * 43 + "="]}
    with pytest.raises(ValidationError, match=r"set data\.keys to a key"):
        Settings.model_validate({"slack": MANY, "agents": agents})
    with pytest.raises(ValidationError, match=r"needs http\.public_url"):
        Settings.model_validate({"slack": MANY, "agents": agents, "data": key})
    address = {"public_url": "https://bot.example"}
    assert Settings.model_validate({"slack": MANY, "agents": agents, "data": key, "http": address}).slack


def test_the_manifest_asks_for_no_scope_that_is_not_used() -> None:
    used = {scope for name in CALLED for scope in METHODS[name].scopes}
    used |= {EVENT_SCOPES[event] for event in EVENTS if event in EVENT_SCOPES} | {"commands"}
    assert set(SCOPES) - used == set()


def test_asking_by_a_reaction_needs_a_scope_and_an_event_that_others_are_not_asked_for() -> None:
    without, with_it = (
        SlackSettings.model_validate({**SOCKET, "reactions": {"seen": "eyes", "ask": ask}})
        for ask in ("", ":robot_face:")
    )
    assert with_it.reactions.ask == "robot_face"
    for settings, wanted in ((without, False), (with_it, True)):
        made = slack_manifest(settings)
        assert ("reactions:read" in made["oauth_config"]["scopes"]["bot"]) is wanted
        assert ("reaction_added" in made["settings"]["event_subscriptions"]["bot_events"]) is wanted
        assert bool(missing_scopes(",".join(SCOPES), settings)) is wanted


@pytest.mark.parametrize("name", ["two words", "👀", "a" * 101])
def test_a_reaction_is_named_as_slack_does(name: str) -> None:
    with pytest.raises(ValidationError, match="name of an emoji"):
        SlackSettings.model_validate({**SOCKET, "reactions": {"seen": name}})
