"""What Slack says of an installation becomes one, or is none."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.frontends.slack.errors import NotSlacksAnswer
from bridge.frontends.slack.installing import read_installation

TEAM: dict[str, Any] = {
    "access_token": "xoxb-1",
    "token_type": "bot",
    "scope": "chat:write,commands",
    "bot_user_id": "U1",
    "app_id": "A1",
    "team": {"id": "T1", "name": "One"},
    "enterprise": None,
    "is_enterprise_install": False,
    "authed_user": {"id": "U7"},
}
ORG = {"team": None, "enterprise": {"id": "E1", "name": "All"}, "is_enterprise_install": True}
ROTATED = {"access_token": "xoxe.xoxb-1", "refresh_token": "xoxe-1", "expires_in": 43_200}


def test_of_a_workspace() -> None:
    found = read_installation(TEAM, 0.0)
    assert (found.id, found.name, found.org, found.installed_by) == ("T1", "One", False, "U7")
    assert found.scopes == {"chat:write", "commands"}
    assert found.tokens is not None
    assert (found.tokens.refresh, found.tokens.expires_at) == (None, None)


def test_of_an_organisation_that_names_no_workspace() -> None:
    found = read_installation(TEAM | ORG, 0.0)
    assert (found.id, found.name, found.org, found.enterprise) == ("E1", "All", True, "E1")


def test_with_a_token_that_expires() -> None:
    tokens = read_installation(TEAM | ROTATED, 100.0).tokens
    assert tokens is not None
    assert tokens.refresh is not None
    assert (tokens.refresh.get_secret_value(), tokens.expires_at) == ("xoxe-1", 43_300.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"team": None},
        {"team": "T1"},
        {"team": {"id": "../etc"}},
        {"team": {"id": "T" * 65}},
        {"team": {"id": 7}},
        {"token_type": "user"},
        {"access_token": "xoxp-1"},
        {"access_token": None},
        {"access_token": ["xoxb-1"]},
        {"bot_user_id": None},
        ORG | {"enterprise": None},
        ROTATED | {"refresh_token": None},
        ROTATED | {"expires_in": -1},
        ROTATED | {"expires_in": "soon"},
        ROTATED | {"expires_in": 1e300},
    ],
)
def test_what_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(NotSlacksAnswer):
        read_installation(TEAM | changed, 0.0)
