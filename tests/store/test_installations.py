"""What is kept of where the app was installed: that one process refreshes, and that tokens are sealed."""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.cipher import Cipher
from bridge.installations import Installation, StoreAway, Tokens
from bridge.store.engine import Engine, StoreUnavailable
from bridge.store.installations import InstallationStore
from bridge.store.watching import Watching

ACCESS, REFRESH = "xoxe.xoxb-1-secret-access", "xoxe-1-secret-refresh"


def key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


def of(team: str, *, org: bool = False, enterprise: str = "") -> Installation:
    tokens = Tokens(SecretStr(ACCESS), SecretStr(REFRESH), 2_000_000_000.0)
    return Installation(
        team, f"The {team}", "U1", "B1", "A1", frozenset({"chat:write", "commands"}), tokens, org, enterprise, "U7"
    )


@pytest.fixture
def store(engine: Engine) -> InstallationStore:
    return InstallationStore(engine, Cipher([key()]))


async def test_what_was_put_is_found_as_it_was(store: InstallationStore) -> None:
    kept = await store.put(of("T1"))
    assert kept == replace(of("T1"), version=1)
    assert await store.find("T1") == kept
    assert await store.find("T2") is None
    assert await store.changed(0) == ([kept], (await store.changed(0))[1])


async def test_what_was_uninstalled_keeps_no_token_and_can_be_installed_again(store: InstallationStore) -> None:
    kept = await store.put(of("T1"))
    assert await store.remove("T1", kept.version)
    assert not await store.remove("T1", kept.version)
    gone = await store.find("T1")
    assert gone is not None
    assert gone.tokens is None
    again = await store.put(of("T1"))
    assert again.tokens is not None
    assert not await store.remove("T1", kept.version), "an old event takes nothing from the new installation"


async def test_who_installed_and_that_it_was_uninstalled_stands_in_the_audit_log(
    store: InstallationStore, engine: Engine
) -> None:
    kept = await store.put(of("T1"))
    await store.remove("T1", kept.version - 1)  # late: nothing was done
    await store.remove("T1", kept.version)
    lines = await Watching(engine).audited()
    assert [(one.who, one.what, one.about) for one in lines] == [
        ("bridge", "Slack app uninstalled", "slack:T1"),
        ("slack:U7", "Slack app installed", "slack:T1"),
    ]


async def test_one_process_refreshes_and_the_others_find_its_tokens(store: InstallationStore) -> None:
    kept = await store.put(of("T1"))
    claims = await asyncio.gather(*(store.claim_refresh("T1", kept.version, 60.0) for _ in range(5)))
    assert sorted(claims) == [False, False, False, False, True]
    tokens = Tokens(SecretStr("new"), SecretStr("newer"), 2_100_000_000.0)
    fresh = await store.refreshed("T1", kept.version, tokens)
    assert fresh is not None
    assert fresh.tokens == tokens
    assert await store.refreshed("T1", kept.version, Tokens(SecretStr("late"))) is None
    assert not await store.claim_refresh("T1", kept.version, 60.0)
    assert await store.find("T1") == fresh


async def test_a_claim_ends_with_its_process(store: InstallationStore) -> None:
    kept = await store.put(of("T1"))
    assert await store.claim_refresh("T1", kept.version, 0.0)
    assert await store.claim_refresh("T1", kept.version, 60.0)


async def test_a_state_is_good_once(store: InstallationStore) -> None:
    assert await store.spend_state("a state", 4_000_000_000.0)
    assert not await store.spend_state("a state", 4_000_000_000.0)
    assert await store.spend_state("old", 1.0)
    assert await store.spend_state("another", 4_000_000_000.0), "which forgets the old one"
    assert await store.spend_state("old", 1.0)


async def test_what_another_key_sealed_counts_as_out_of_reach_not_as_uninstalled(engine: Engine) -> None:
    await InstallationStore(engine, Cipher([key()])).put(of("T1"))
    store = InstallationStore(engine, Cipher([key()]))
    with pytest.raises(StoreAway):
        await store.find("T1")
    await store.put(of("T2"))
    assert [one.id for one in (await store.changed(0))[0]] == ["T2"]


async def test_after_a_start_with_a_new_key_the_old_one_can_go(engine: Engine) -> None:
    old, new = key(), key()
    kept = await InstallationStore(engine, Cipher([old])).put(of("T1"))
    await InstallationStore(engine, Cipher([new, old])).changed(0)
    assert await InstallationStore(engine, Cipher([new])).find("T1") == kept


async def test_an_outage_is_told_as_one(store: InstallationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(store, "_engine", type("Away", (), {"run": staticmethod(away)}))
    with pytest.raises(StoreAway):
        await store.find("T1")


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_the_file_holds_no_token(store: InstallationStore, tmp_path: Path) -> None:
    kept = await store.put(of("T1"))
    await store.refreshed("T1", kept.version, Tokens(SecretStr(f"{ACCESS}2"), SecretStr(f"{REFRESH}2"), 1.0))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("threadbridge.db"))
    assert b"The T1" in written
    assert ACCESS.encode() not in written
    assert REFRESH.encode() not in written


async def test_what_changed_is_told_once_and_what_cannot_be_read_is_complained_of_once(engine: Engine) -> None:
    store = InstallationStore(engine, Cipher([key()]))
    await store.put(of("T1"))
    other = InstallationStore(engine, Cipher([key()]))
    with capture_logs() as lines:
        told, mark = await store.changed(0)
        assert [one.id for one in told] == ["T1"]
        assert (await other.changed(0))[0] == []
        for _ in range(3):
            assert await store.changed(mark) == ([], mark)
            assert (await other.changed(mark))[0] == []
    assert [one["event"] for one in lines] == ["installation can't be read"]
    again = await store.put(of("T1"))
    assert (await store.changed(mark))[0] == [again]
