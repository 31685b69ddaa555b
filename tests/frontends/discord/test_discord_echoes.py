from __future__ import annotations

import pytest

from bridge.frontends.discord import echoes
from bridge.frontends.discord.echoes import Echoes


def test_both_ways() -> None:
    heard = Echoes()
    heard.add("a-0", 1)
    assert (heard.message("a-0"), heard.nonce(1)) == (1, "a-0")
    assert (heard.message("a-1"), heard.nonce(2)) == (None, None)


def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echoes, "REMEMBERED", 2)
    heard = Echoes()
    for number in range(3):
        heard.add(f"a-{number}", number)
        heard.add(f"a-{number}", number)  # Discord tells twice: the sender and on the gateway
    assert [heard.message(f"a-{number}") for number in range(3)] == [None, 1, 2]
    assert [heard.nonce(number) for number in range(3)] == [None, "a-1", "a-2"]
