from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bridge.frontends.discord.errors import (
    DEFAULT_RETRY_AFTER,
    UnknownAnswer,
    code_of,
    kind,
    surface_error,
    told_apart,
)
from bridge.turns.surface import Fenced, Gone, PartFull, Refused, SurfaceError, Throttled, Unreachable


def answer(status: int, code: int = 0, headers: dict[str, str] | None = None) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="", headers=headers or {})
    return discord.HTTPException(response, {"code": code, "message": "words of a person"})


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, 10003, Gone),
        (404, 10008, Gone),
        (404, 0, UnknownAnswer),  # not Discord's word: a proxy's, or a login page's
        (403, 0, UnknownAnswer),
        (400, 0, UnknownAnswer),
        (400, 999_999, UnknownAnswer),
        (403, 999_999, UnknownAnswer),
        (404, 999_999, UnknownAnswer),
        (302, 0, UnknownAnswer),
        (403, 50001, Gone),
        (403, 50007, Gone),
        (403, 50013, Gone),
        (403, 160005, Gone),
        (400, 50083, Gone),
        (400, 200000, Refused),
        (400, 30046, PartFull),
        (429, 30046, PartFull),
        (400, 50006, Refused),
        (400, 50035, Refused),
        (413, 40005, Refused),
        (413, 0, Refused),
        (401, 0, Unreachable),
        (408, 0, Unreachable),
        (429, 0, Throttled),
        (429, 20028, Throttled),
        (500, 0, Unreachable),
        (503, 50035, Unreachable),
    ],
)
def test_answers(status: int, code: int, expected: type[SurfaceError]) -> None:
    assert kind(status, code) is expected
    assert type(surface_error(answer(status, code), "send")) is expected


@pytest.mark.parametrize(
    "error",
    [aiohttp.ServerDisconnectedError(), TimeoutError(), ConnectionResetError(), RuntimeError("Session is closed")],
)
def test_no_answer_is_unreachable(error: Exception) -> None:
    with pytest.raises(Unreachable), told_apart("send"):
        raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (discord.RateLimited(75.5), 75.5),
        (answer(429, headers={"Retry-After": "3.5"}), 3.5),
        (answer(429, headers={"Retry-After": "soon"}), DEFAULT_RETRY_AFTER),
        (answer(429), DEFAULT_RETRY_AFTER),
    ],
)
def test_how_long_to_wait(error: Exception, expected: float) -> None:
    with pytest.raises(Throttled) as raised, told_apart("send"):
        raise error
    assert raised.value.retry_after == expected


def test_the_detail_names_the_call_and_quotes_nothing() -> None:
    detail = str(surface_error(answer(400, 50035), "edit"))
    assert "edit" in detail
    assert "50035" in detail
    assert "words" not in detail


@pytest.mark.parametrize(
    "error", [KeyError("id"), TypeError("a string has no fields"), ValueError("no JSON"), discord.InvalidData()]
)
def test_an_answer_that_is_not_discords_is_nobodys_refusal(error: Exception) -> None:
    with pytest.raises(UnknownAnswer), told_apart("send"):
        raise error


@pytest.mark.parametrize("code", [160005, 0])
def test_the_code_can_be_asked_for(code: int) -> None:
    with pytest.raises(SurfaceError) as raised, told_apart("send"):
        raise answer(403, code)
    assert code_of(raised.value) == code
    assert code_of(Unreachable("the connection broke")) == 0


def test_a_guard_that_refuses_is_heard() -> None:
    with pytest.raises(Fenced), told_apart("send"):
        raise Fenced
