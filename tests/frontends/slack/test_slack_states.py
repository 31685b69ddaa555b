"""The state of an installation's way through Slack: whose it is, and how long it is good."""

from __future__ import annotations

import pytest

from bridge.frontends.slack.states import LIFE, States, is_browser, new_browser

BROWSER = new_browser()


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_it_is_good_for_minutes_in_the_browser_where_it_began() -> None:
    clock = Clock()
    states = States("secret", clock)
    state = states.issue(BROWSER)
    assert states.until(state, BROWSER) == clock.now + LIFE
    assert States("secret", clock).until(state, BROWSER), "another replica knows it as well"
    assert states.until(state, new_browser()) is None
    assert States("another", clock).until(state, BROWSER) is None
    clock.now += LIFE
    assert states.until(state, BROWSER) is None


def test_no_two_are_alike() -> None:
    states = States("secret")
    assert states.issue(BROWSER) != states.issue(BROWSER)


@pytest.mark.parametrize("at", range(0, 90, 7))
def test_whatever_is_changed_in_it_is_noticed(at: int) -> None:
    states = States("secret", Clock())
    state = states.issue(BROWSER)
    at = min(at, len(state) - 2)  # the last character holds bits that mean nothing
    other = "0" if state[at] != "0" else "1"
    assert states.until(f"{state[:at]}{other}{state[at + 1 :]}", BROWSER) is None


@pytest.mark.parametrize("wrong", ["", ".", "1.2.3", "٣" * 10, "a" * 5_000, "\x00", "9" * 12 + ".a.b"])
def test_what_is_none_is_none(wrong: str) -> None:
    assert States("secret").until(wrong, BROWSER) is None
    assert not is_browser(wrong)
