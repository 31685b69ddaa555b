"""Links to files: what they carry, and that nobody else makes one."""

from __future__ import annotations

import jwt
import pytest
from pydantic import SecretStr

from bridge.turns.links import AUDIENCE, PATH, Expired, Linked, Links, NoLink

KEY = SecretStr("k" * 32)
FILE = Linked("support", "conv/1", "ref 1", "ünï report.pdf", "slack:U1")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def token_of(url: str | None) -> str:
    assert url is not None
    assert url.startswith(f"https://bridge.example.com{PATH}")
    return url.rpartition("/")[2]


def test_a_link_names_its_file_for_hours() -> None:
    clock = Clock()
    links = Links("https://bridge.example.com/", KEY, 2, clock)
    token = token_of(links.url(FILE))
    assert links.read(token) == FILE
    clock.now += 2 * 3600
    assert links.read(token) == FILE
    clock.now += 1
    with pytest.raises(Expired):
        links.read(token)


@pytest.mark.parametrize("how", ["cut", "changed", "another key", "nothing", "no signature", "another purpose"])
def test_what_we_did_not_sign_is_no_link(how: str) -> None:
    links = Links("https://bridge.example.com", KEY, 24)
    token = token_of(links.url(FILE))
    head, body, signature = token.split(".")
    other = token_of(Links("https://bridge.example.com", SecretStr("o" * 32), 24).url(FILE))
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = {
        "cut": token[:-5],
        "changed": f"{head}.{body[:-4]}AAAA.{signature}",
        "another key": other,
        "nothing": "..",
        "no signature": jwt.encode(claims, "", "none"),
        "another purpose": jwt.encode({**claims, "aud": "threadbridge"}, "k" * 32, "HS256"),
    }[how]
    with pytest.raises(NoLink) as caught:
        links.read(forged)
    assert not isinstance(caught.value, Expired)
    assert claims["aud"] == AUDIENCE


def test_what_does_not_fit_a_message_has_no_link() -> None:
    links = Links("https://bridge.example.com", KEY, 24)
    long = Linked("support", "conv", "r" * 2_000, "a.txt")
    assert links.url(long) is None
    assert links.shown(long) is None


def test_it_is_shown_by_its_name() -> None:
    shown = Links("https://bridge.example.com", KEY, 24).shown(Linked("a", "c", "r", "`x`.pdf"))
    assert shown is not None
    assert shown.startswith("`'x'.pdf`: [download it](<https://bridge.example.com/files/")
    assert shown.endswith(">), for 24 hours")
