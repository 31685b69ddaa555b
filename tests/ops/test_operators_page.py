"""`/ops/` over real HTTP, on both databases: who gets in, what is shown, what can be done and how often."""

from __future__ import annotations

import asyncio
import html
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from bridge.extras import MissingExtra
from bridge.inbound import Address, Person
from bridge.lifecycle import Outcome
from bridge.ops.page import looks
from bridge.ops.page.session import FREE_TRIES
from bridge.settings import HttpSettings
from bridge.store.budgets import Quota
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine, StoreUnavailable
from bridge.store.watching import PAGE, Watching
from tests.e2e.waiting import PATIENCE
from tests.ops.page import TOKEN, Visit, served
from tests.store.steps import ALL, HERE, inbound, next_turn, thread
from tests.turns.world import MemoryPlatform

HOSTILE = "<script>alert(1)</script>\u202e\"'><img src=x onerror=alert(2)>"
VIEWS = ("", "turns", "turns?state=failed", "threads", "threads?q=C1", "system")
T = TypeVar("T")


@pytest.fixture
async def visit(database: Database, engine: Engine) -> AsyncIterator[Visit]:
    async with served(database, engine) as visit:
        yield visit


@pytest.fixture
async def quick(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Visit]:
    """On SQLite alone, for what doesn't depend on the database's kind."""
    path = tmp_path / "quick.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(database_url(f"sqlite:///{path}"))
    async with database.prepared("replica-1") as engine, served(database, engine) as visit:
        yield visit
    await database.close()


def query(path: str, **more: str) -> httpx.QueryParams:
    return httpx.QueryParams(httpx.URL(path).query).merge(more)


async def soon(look: Callable[[], Awaitable[T | None]]) -> T:
    async with asyncio.timeout(PATIENCE):
        while not (found := await look()):  # noqa: ASYNC110  # neither a server nor a database has an event
            await asyncio.sleep(0.01)
    return found


# --- who gets in ------------------------------------------------------------------------------------------------------


async def test_without_a_token_in_the_settings_there_is_no_page(database: Database, engine: Engine) -> None:
    async with served(database, engine, ops_token=None) as visit:
        for path in ("", "turns", "sign-in", "static/page.css"):
            assert (await visit.get(path)).status_code == 404


async def test_without_a_session_nothing_is_shown_and_nothing_done(quick: Visit) -> None:
    turn = await quick.asked(outcome=Outcome.TIMED_OUT)
    for path in (*VIEWS, f"turns/{turn}", "threads/1"):
        answer = await quick.get(path)
        assert answer.status_code == 401
        assert "<h1>Threads" not in answer.text
        assert "name of U1" not in answer.text
    for path in (f"turns/{turn}/retry", f"turns/{turn}/stop", "system/check", "sign-out"):
        assert (await quick.post(path, {"proof": "0" * 64})).status_code == 401
    assert not quick.woken


async def test_the_token_opens_a_session_that_a_script_of_no_page_can_read(quick: Visit) -> None:
    answer = await quick.sign_in(to="turns?state=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/turns?state=failed")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/ops/" in cookie
    assert "secure" not in cookie, "it came by http to this machine"
    assert TOKEN not in cookie
    for path in VIEWS:
        assert (await quick.get(path)).status_code == 200
    assert (await quick.post("sign-out", {"proof": await quick.proof()})).status_code == 303
    assert (await quick.get()).status_code == 401
    quick.client.cookies.set("threadbridge_ops", cookie.split("=")[1].split(";")[0], path="/ops/")
    assert (await quick.get()).status_code == 401, "the cookie was kept, but the session is over"


async def test_where_people_come_by_https_the_cookie_never_goes_by_http(
    database: Database, engine: Engine
) -> None:
    async with served(database, engine, public_url="https://bridge.example.com/bots") as visit:
        answer = await visit.post("sign-in", {"token": TOKEN}, origin="https://bridge.example.com")
        assert "secure" in answer.headers["set-cookie"].lower()
        there = {"Host": "bridge.example.com", "Origin": "https://bridge.example.com"}
        answer = await visit.client.post(f"{visit.url}/ops/sign-in", data={"token": TOKEN}, headers=there)
        assert answer.headers["location"] == "/bots/ops/", "the proxy takes that off"
        assert "path=/bots/ops/" in answer.headers["set-cookie"].lower()


async def test_signing_in_leads_to_this_page_only(quick: Visit) -> None:
    for to in ("//evil.example", "https://evil.example", "\\\\evil", "x\r\nSet-Cookie: a=b", "a" * 1_000):
        location = (await quick.sign_in(to=to)).headers["location"]
        assert location.startswith("/ops/")
        assert httpx.URL(quick.url).join(location).host == httpx.URL(quick.url).host
        assert "\n" not in location


async def test_a_wrong_token_is_refused_and_guessing_slows_down(quick: Visit) -> None:
    for _ in range(FREE_TRIES):
        answer = await quick.sign_in("wrong")
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    answer = await quick.sign_in(TOKEN)
    assert answer.status_code == 429, "the right one too: else nothing is slowed down"
    assert int(answer.headers["retry-after"]) >= 1
    bearer = await quick.get(headers={"Authorization": f"Bearer {TOKEN}"})
    assert bearer.status_code == 429


async def test_a_session_goes_on_while_somebody_guesses(quick: Visit) -> None:
    await quick.sign_in()
    for _ in range(2 * FREE_TRIES):
        await quick.sign_in("wrong")
    assert (await quick.get()).status_code == 200


async def test_a_script_comes_with_the_token_in_its_header_and_reads_json(visit: Visit) -> None:
    turn = await visit.asked(outcome=Outcome.TIMED_OUT, detail="no answer in 900 s")
    script = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    [found] = (await visit.get("turns?state=failed", headers=script)).json()["turns"]
    assert (found["id"], found["detail"]) == (turn, "no answer in 900 s")
    for path in VIEWS:
        assert (await visit.get(path, headers=script)).headers["content-type"] == "application/json"
    url = f"{visit.url}/ops/turns/{turn}/retry"
    assert (await visit.client.post(url, headers=script)).json()["done"] is True
    again = await visit.client.post(url, headers=script)
    assert (again.status_code, again.json()["done"]) == (409, False)
    refused = await visit.get(headers=script | {"Authorization": "Bearer wrong"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


async def test_no_other_page_can_send_a_form(quick: Visit) -> None:
    origins = ("https://evil.example", "null", None, "http://127.0.0.1:1")
    for origin in origins:
        assert (await quick.post("sign-in", {"token": TOKEN}, origin)).status_code == 403
    await quick.sign_in()
    turn = await quick.asked(outcome=Outcome.TIMED_OUT)
    proof = await quick.proof()
    for origin in origins:
        assert (await quick.post(f"turns/{turn}/retry", {"proof": proof}, origin)).status_code == 403
    assert not quick.woken


async def test_a_form_without_its_proof_does_nothing(quick: Visit) -> None:
    await quick.sign_in()
    turn = await quick.asked(outcome=Outcome.TIMED_OUT)
    forms: list[dict[str, str]] = [{}, *({"proof": one} for one in ("", "0" * 64, "é", "x" * 20_000))]
    for form in forms:
        assert (await quick.post(f"turns/{turn}/retry", form)).status_code in (400, 403)
    assert not quick.woken
    assert (await quick.get(f"turns/{turn}/retry")).status_code in (404, 405), "and no link does"


async def test_every_answer_forbids_what_a_browser_could_be_led_to(quick: Visit) -> None:
    answers = [
        await quick.get(path)
        for path in ("", "nowhere", "static/page.css", "static/../views.py", "static/%2e%2e/views.py")
    ]
    await quick.sign_in()
    answers += [await quick.get(path) for path in (*VIEWS, "turns/0", "nowhere")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "class Views" not in answer.text
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert " on" not in "".join(part.split(">")[0] for part in answer.text.split("<button")[1:])


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_what_others_wrote_is_text_and_nothing_else(database: Database, engine: Engine) -> None:
    platform = MemoryPlatform()
    platform.trouble = lambda: HOSTILE  # type: ignore[method-assign]
    async with served(database, engine, platform) as visit:
        await visit.sign_in()
        place = Address("slack", "T1", "<i>C</i>", "<b>1</b>")
        person = Person("<u>U1</u>", HOSTILE)
        failed = await visit.asked(
            1, Outcome.AGENT_ERROR, person=person, text=HOSTILE, address=place, detail=HOSTILE, answer=HOSTILE
        )
        await visit.asked(1)
        views = (
            *VIEWS,
            f"turns/{failed}",
            f"turns/{failed}?text=1",
            "threads/1",
            f"threads?q={HOSTILE}",
            f"?said={HOSTILE}",
        )
        for path in (*views, HOSTILE, f"turns/{HOSTILE}", f"turns?state={HOSTILE}"):
            text = (await visit.get(path)).text
            for part in ("<script>alert", "<img", "<b>1", "<i>C", "<u>U1", "<b>drawers", "\u202e"):
                assert part not in text, path
        assert html.escape("<script>alert(1)") in (await visit.get()).text


async def test_an_operator_sees_what_runs_waits_and_failed(visit: Visit) -> None:
    await visit.sign_in()
    failed = await visit.asked(1, Outcome.TIMED_OUT, detail="no answer in 900 s")
    running = await visit.asked(1, address=thread(2))
    await visit.arrivals.put(inbound(2, address=thread(2)), "support")
    waiting = await visit.asked(1, Outcome.UNCERTAIN, address=thread(3))
    page = (await visit.get()).text
    for turn in (failed, running, waiting):
        assert f"/ops/turns/{turn}" in page
    assert "the agent took too long" in page
    assert "no answer in 900 s" in page
    assert html.escape("looks into <b>drawers</b>") in page
    assert f'id="stop-{running}"' in page
    assert f'id="retry-{failed}"' in page
    assert "0 answered, 1 failed, 0 stopped in all." not in page
    assert "1 answered, 1 failed, 0 stopped in all." in page, "what waits for a person was answered"
    assert "question 1" not in page, "and nobody's words"
    alone = (await visit.get(f"turns/{waiting}")).text
    assert "it may work on it twice" in alone
    assert "The agent is at work on it." in (await visit.get(f"turns/{running}")).text


async def test_what_was_written_is_shown_when_asked_for(quick: Visit) -> None:
    await quick.sign_in()
    turn = await quick.asked(text="my salary", outcome=Outcome.ANSWERED, answer="is a secret")
    for path in (*VIEWS, f"turns/{turn}", "threads/1"):
        text = (await quick.get(path)).text
        assert "my salary" not in text
        assert "is a secret" not in text
    shown = (await quick.get(f"turns/{turn}?text=1")).text
    assert "my salary" in shown
    assert "is a secret" in shown


async def test_the_settings_can_forbid_to_read_it(database: Database, engine: Engine) -> None:
    async with served(database, engine, ops_text=False) as visit:
        await visit.sign_in()
        turn = await visit.asked(text="my salary", outcome=Outcome.ANSWERED, answer="is a secret")
        for headers in ({}, {"Accept": "application/json"}):
            text = (await visit.get(f"turns/{turn}?text=1", headers=headers)).text
            assert "my salary" not in text
            assert "is a secret" not in text


async def test_a_long_list_is_paged_and_each_turn_is_on_one_page(visit: Visit) -> None:
    script = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    turns = [await visit.asked(number, Outcome.TIMED_OUT) for number in range(1, PAGE + 4)]
    for view in ("turns", "turns?state=failed", "threads/1"):
        found: list[str] = []
        before, pages = "", 0
        while pages == 0 or before:
            page = (await visit.get(view, params=query(view, before=before), headers=script)).json()
            found += [one["id"] for one in page["turns"]]
            before, pages = page["next"], pages + 1
        assert pages == 2
        assert found == turns[::-1], view


async def test_an_absurd_page_is_a_page(visit: Visit) -> None:
    await visit.sign_in()
    await visit.asked(1, Outcome.TIMED_OUT)
    nines = "9" * 19
    for before in (
        f"{nines}9-~-1",
        f"{nines}-~-{nines}",
        f"{nines}-{nines}",
        "0-0-0",
        "-1",
        "1 OR 1=1",
        "9" * 5_000,
    ):
        for path in ("turns", "threads", "threads/1", "threads?q=C1"):
            assert (await visit.get(path, params=query(path, before=before))).status_code == 200
        for path in (f"threads/{before}", f"turns/{before}"):
            assert (await visit.get(path)).status_code == 404
    assert (await visit.get("threads/" + "9" * 18)).status_code == 404


async def test_threads_are_found_by_what_an_operator_has(visit: Visit) -> None:
    script = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    turn = await visit.asked(1, Outcome.ANSWERED)
    await visit.asked(1, Outcome.ANSWERED, address=Address("discord", "9", "C9", "777"))
    for query, place in {
        "": "both", "C1": HERE.thread, "slack:C1:100.0": HERE.thread, "100.0": HERE.thread, turn: HERE.thread,
        "777": "777", "https://discord.com/channels/9/777/1": "777", "nothing": "", "C9:100.0": "", "100.%": "",
    }.items():  # fmt: skip
        found = (await visit.get("threads", params={"q": query}, headers=script)).json()["threads"]
        names = [one["thread"] for one in found]
        # The platform of this test is Slack alone: other threads are found by name only.
        assert names == ([HERE.thread] if place == "both" else [place] if place else []), query


async def test_budgets_and_replicas_are_shown_as_they_stand(database: Database, engine: Engine) -> None:
    async with served(database, engine) as visit:
        await visit.sign_in()
        quotas = [Quota("bots_in_thread", "slack:T1:C1:100.0", 3)]
        await visit.arrivals.put(inbound(1), "support", quotas=quotas)
        presence = database.presence("replica-1")
        keeping = asyncio.create_task(presence.keep(lambda _: asyncio.sleep(0), lambda _: None))
        if engine.dialect == "postgresql":
            watching = Watching(engine)
            await soon(watching.replicas)
        page = (await visit.get("system")).text
        keeping.cancel()
        await asyncio.wait([keeping])
        assert "1 of 3" in page
        assert "Bots in thread" in page
        assert "replica-1" in page
        assert ("in time" in page) == (engine.dialect == "postgresql")


async def test_agents_are_looked_at_now_and_then_and_not_for_each_view(quick: Visit) -> None:
    await quick.sign_in()
    script = {"Accept": "application/json"}

    async def looked() -> Any:
        return (await quick.get("system", headers=script)).json()["agents"][0]["checked"]

    first = await soon(looked)
    assert first["mark"] == "ok"
    assert await looked() == first
    said = await quick.post("system/check", {"proof": await quick.proof()})
    assert said.headers["location"].endswith("said=looked"), "only just"


# --- what is done -----------------------------------------------------------------------------------------------------


async def test_retry_asks_once_however_often_it_is_pressed(visit: Visit) -> None:
    await visit.sign_in()
    turn = await visit.asked(1, Outcome.TIMED_OUT)
    proof = await visit.proof(f"turns/{turn}")
    pressed = await asyncio.gather(*(visit.post(f"turns/{turn}/retry", {"proof": proof}) for _ in range(5)))
    said = sorted(one.headers["location"].partition("?")[2] for one in pressed)
    assert said == ["said=late"] * 4 + ["said=sent"]
    assert visit.woken
    script = {"Accept": "application/json"}
    turns = (await visit.get("turns", headers=script)).json()["turns"]
    assert [one["state"] for one in turns] == ["received", "failed"]
    assert turns[0]["retry_of"] == turn
    page = (await visit.get(f"turns/{turn}?said=sent")).text
    assert "Put in again as a new turn" in page
    assert f"turns/{turns[0]['id']}" in page
    assert "It was sent again already" in page


async def test_what_cannot_be_sent_again_says_why_and_stays(visit: Visit) -> None:
    await visit.sign_in()
    done = await visit.asked(1, Outcome.ANSWERED)
    assert html.escape("It was answered.") in (await visit.get(f"turns/{done}")).text
    pressed = await visit.post(f"turns/{done}/retry", {"proof": await visit.proof()})
    assert pressed.headers["location"].endswith("said=late")
    assert (await visit.post("turns/0123456789abcdef/retry", {"proof": await visit.proof()})).status_code == 404


async def test_a_running_turn_is_stopped_and_only_that(visit: Visit) -> None:
    await visit.sign_in()
    done = await visit.asked(1, Outcome.ANSWERED)
    turn = await visit.asked(2)
    proof = await visit.proof()
    assert (await visit.post(f"turns/{done}/stop", {"proof": proof})).headers["location"].endswith("said=at_rest")
    assert visit.stopped == []
    assert (await visit.post(f"turns/{turn}/stop", {"proof": proof})).headers["location"].endswith("said=stopping")
    assert visit.stopped == [turn]
    script = {"Accept": "application/json"}
    stored = (await visit.get("turns", headers=script)).json()["turns"]
    assert {one["id"]: one["stopped"] for one in stored} == {turn: True, done: False}


async def test_what_an_operator_does_stands_in_the_audit_log_and_on_the_page(visit: Visit) -> None:
    failed = await visit.asked(1, Outcome.TIMED_OUT)
    await visit.sign_in()
    proof = await visit.proof(f"turns/{failed}")
    for _ in range(2):
        await visit.post(f"turns/{failed}/retry", {"proof": proof})
    [claim] = await visit.queue.claim(10, ALL)
    running = (await next_turn(visit.queue, claim)).id
    await visit.get(f"turns/{running}")
    await visit.get(f"turns/{running}?text=1")
    await visit.post(f"turns/{running}/stop", {"proof": proof})
    lines = (await visit.get("system", headers={"Accept": "application/json"})).json()["audited"]
    found = [(one["who"], one["what"], one["about"]) for one in lines]
    assert found == [
        ("operator's page", "turn stopped", running),
        ("operator's page", "turn's text read", running),
        ("operator's page", "turn retried", failed),  # once, as it was done once
        ("operator's page", "signed in", ""),
    ]
    assert "s text read</td>" in (await visit.get("system")).text


async def test_the_token_opens_the_page_while_nothing_can_be_audited(
    quick: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr("bridge.ops.page.deeds.record", away)
    assert (await quick.sign_in()).status_code == 303
    assert (await quick.get()).status_code == 200


# --- when the database is away ----------------------------------------------------------------------------------------


async def test_while_the_database_is_away_the_page_says_so(quick: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    await quick.sign_in()
    turn = await quick.asked(1, Outcome.TIMED_OUT)
    proof = await quick.proof()

    async def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    for name in ("under_way", "turns", "turn", "ended", "replicas", "budgets", "threads", "audited"):
        monkeypatch.setattr(Watching, name, away)
    monkeypatch.setattr(looks, "FRESH", 0.0)
    for path in ("", "system"):
        answer = await quick.get(path)
        assert answer.status_code == 200
        assert "Platforms" in answer.text
    for path in ("turns", f"turns/{turn}", "threads"):
        answer = await quick.get(path)
        assert answer.status_code == 503
        assert "The database doesn" in answer.text
    assert (await quick.post(f"turns/{turn}/retry", {"proof": proof})).status_code == 503


async def test_an_answer_that_takes_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "ANSWERS_WITHIN", 0.01)
    with pytest.raises(looks.Away):
        await looks.in_time(asyncio.Event().wait())


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["short", "a token with spaces in it"])
def test_a_bad_token_is_one_sentence(token: str) -> None:
    with pytest.raises(ValueError, match="ops_token"):
        HttpSettings(ops_token=SecretStr(token))


async def test_without_its_package_a_sentence_says_what_to_install(
    database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.extras.installed", lambda _: False)
    with pytest.raises(MissingExtra, match=r"http\.ops_token.*threadbridge\[ops\]"):
        async with served(database, engine):
            pass
