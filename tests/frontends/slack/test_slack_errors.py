from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bridge.frontends.slack.errors import (
    DEFAULT_RETRY_AFTER,
    REFUSED,
    SDK_ERRORS,
    TOKEN_IS_BAD,
    Failure,
    NotSlacksAnswer,
)
from bridge.frontends.slack.surface import SlackSurface
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import Gone, PartKey, Refused, SurfaceError, Throttled, Unreachable


def answered(status: int, data: object, **headers: str) -> SlackApiError:
    response = AsyncSlackResponse(
        client=AsyncWebClient(),
        http_verb="POST",
        api_url="https://slack.com/api/chat.postMessage",
        req_args={"headers": {"Authorization": "Bearer xoxb-secret"}},
        data=data,  # type: ignore[arg-type]  # whatever came
        headers=headers,
        status_code=status,
    )
    return SlackApiError("failed", response)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(200, {"ok": False, "error": "channel_not_found"}), Gone),
        (answered(200, {"ok": False, "error": "is_archived"}), Gone),
        (answered(200, {"ok": False, "error": "message_not_found"}), Gone),
        *((answered(200, {"ok": False, "error": code}), Unreachable) for code in sorted(TOKEN_IS_BAD)),
        *((answered(200, {"ok": False, "error": code}), Refused) for code in sorted(REFUSED)),
        (answered(200, {"ok": False, "error": "msg_too_long"}), Refused),
        (answered(200, {"ok": False, "error": "never_heard_of"}), Unreachable),
        (answered(200, {"ok": False, "error": "missing_scope", "needed": "chat:write"}), Refused),
        (answered(200, {"ok": False, "error": "ratelimited"}), Throttled),
        (answered(200, {"ok": False, "error": "internal_error"}), Unreachable),
        (answered(200, {"ok": False, "error": "fatal_error"}), Unreachable),
        (answered(429, {"ok": False, "error": "ratelimited"}), Throttled),
        (answered(429, "slow down"), Throttled),
        (answered(500, {}), Unreachable),
        (answered(503, "text of a proxy"), Unreachable),
        (answered(404, {}), Unreachable),
        (answered(403, {"ok": False}), Unreachable),
        (answered(200, {"ok": False, "error": None}), Unreachable),
        (answered(200, {"ok": False, "error": {"code": 7}}), Unreachable),
        (answered(502, {"ok": False, "error": "channel_not_found"}), Unreachable),
        (NotSlacksAnswer(200, {}), Unreachable),
        (NotSlacksAnswer(403, {}), Unreachable),
        (NotSlacksAnswer(429, {"Retry-After": "3"}), Throttled),
        (SlackApiError("no body", None), Unreachable),  # type: ignore[no-untyped-call]
        (aiohttp.ServerDisconnectedError(), Unreachable),
        (aiohttp.ClientOSError(104, "reset"), Unreachable),
        (TimeoutError(), Unreachable),
        (ConnectionResetError(), Unreachable),
    ],
)
def test_each_error_has_its_kind(error: Exception, kind: type[SurfaceError]) -> None:
    assert isinstance(error, SDK_ERRORS)
    found = Failure.of(error).surface_error("chat.postMessage")
    assert type(found) is kind
    assert "secret" not in str(found)


def test_a_call_the_sdk_would_not_make_is_no_answer() -> None:
    assert isinstance(SlackRequestError("bad"), SDK_ERRORS)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, DEFAULT_RETRY_AFTER),
        ({}, DEFAULT_RETRY_AFTER),
    ],
)
def test_the_delay_of_a_429(headers: dict[str, str], expected: float) -> None:
    error = Failure.of(answered(429, {}, **headers)).surface_error("chat.update")
    assert isinstance(error, Throttled)
    assert error.retry_after == expected


def test_the_detail_names_the_scope_that_is_missing() -> None:
    error = Failure.of(answered(200, {"ok": False, "error": "missing_scope", "needed": "chat:write"}))
    assert "chat:write" in str(error.surface_error("chat.update"))


async def test_a_post_is_never_repeated_by_the_client_itself(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Callable[[], list[str]]
) -> None:
    """The SDK's default is to repeat a call whose connection broke, which would post twice."""
    world.faults.hang_up("chat.postMessage", after=True)
    with pytest.raises(Unreachable):
        await surface.post(key, "One", last=True)
    assert shown() == ["One"]
