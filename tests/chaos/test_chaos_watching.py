"""What a chaos run sees: whose call it was, and finished replies that are touched again."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from adapters.testing.serving import serve
from tests.chaos.watching import Eyes, called_by
from tests.chaos.words import answer

THREAD = "slack/C1/1.0"
WHOLE = answer("t0m0", 10)
BEGINNING = " ".join(WHOLE.split()[:4])


@pytest.fixture
def eyes() -> Eyes:
    return Eyes()


def test_a_reply_may_grow_until_it_is_finished(eyes: Eyes) -> None:
    eyes.see(THREAD, "m", "", growing=True)
    eyes.see(THREAD, "m", BEGINNING, growing=True)
    assert eyes.ended == set()
    eyes.see(THREAD, "m", WHOLE, growing=True)
    assert eyes.ended == {"t0m0"}
    eyes.see(THREAD, "m", f"{WHOLE}\n", growing=False)
    eyes.see(THREAD, "m", f"**{WHOLE}**", growing=False)  # the same words
    assert eyes.changed == []


@pytest.mark.parametrize(("text", "growing"), [(BEGINNING, False), (BEGINNING, True), (WHOLE, True), ("", False)])
def test_a_finished_reply_that_is_touched_is_noted(eyes: Eyes, text: str, growing: bool) -> None:
    eyes.see(THREAD, "m", WHOLE, growing=False)
    eyes.see(THREAD, "m", text, growing=growing)
    assert [(one.token, one.thread) for one in eyes.changed] == [("t0m0", THREAD)]


def test_a_finished_reply_that_is_deleted_is_noted(eyes: Eyes) -> None:
    eyes.see(THREAD, "m", WHOLE, growing=False)
    eyes.gone(THREAD, "m")
    eyes.gone(THREAD, "never seen")
    assert [one.detail for one in eyes.changed] == ["deleted, by replica None"]


def test_the_first_message_of_a_reply_is_finished_with_the_last(eyes: Eyes) -> None:
    first, second = answer("t0m0", 80).split("\n\n", 1)
    eyes.see(THREAD, "m", first, growing=False)
    eyes.see(THREAD, "m", f"{first} ", growing=True)  # it may still be touched
    eyes.see(THREAD, "m", first, growing=False)
    eyes.see(THREAD, "n", second, growing=False)
    assert eyes.changed == []
    eyes.see(THREAD, "m", BEGINNING, growing=False)
    assert len(eyes.changed) == 1


def test_another_reply_of_the_thread_may_still_grow(eyes: Eyes) -> None:
    eyes.see(THREAD, "m", WHOLE, growing=False)
    eyes.see(THREAD, "n", answer("t0m1", 10)[:10], growing=True)
    eyes.see(THREAD, "n", answer("t0m1", 10), growing=False)
    assert eyes.changed == []


async def test_each_call_and_each_change_is_a_replicas(eyes: Eyes) -> None:
    async def show(_: Request) -> Response:
        eyes.see(THREAD, "m", WHOLE, growing=False)
        return PlainTextResponse("shown")

    app = Starlette(routes=[Route("/slack/api/show", show)])
    served = Starlette(routes=[Mount(f"/r{replica}", called_by(replica, app, eyes)) for replica in range(2)])
    async with serve(served) as url, httpx.AsyncClient(trust_env=False) as client:
        for replica in (1, 0):
            await client.get(f"{url}/r{replica}/slack/api/show")
    assert [(seen.replica, seen.place) for seen in eyes.calls] == [(1, "slack/api/show"), (0, "slack/api/show")]
    assert [(seen.replica, seen.place) for seen in eyes.changes] == [(1, THREAD), (0, THREAD)]
    assert eyes.last == {THREAD: 0}
