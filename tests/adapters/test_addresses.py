from __future__ import annotations

import httpx
import pytest

import adapters.http.addresses
from adapters.base import AgentError, ProtocolError, Unavailable
from adapters.http.addresses import is_public, led

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "not an address",
        "",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the names lead to; each look-up takes one off."""
    known: dict[str, list[str]] = {}

    async def look_up(host: str, port: int | None) -> list[str]:
        if host not in known:
            raise OSError("no such name")
        return known.pop(host)

    monkeypatch.setattr(adapters.http.addresses, "look_up", look_up)
    return known


async def test_the_address_that_was_found_fit_is_the_one_that_is_connected_to(names: dict[str, list[str]]) -> None:
    names["files.example"] = [PUBLIC]
    way, headers, extensions = await led(httpx.URL("https://files.example:8443/f?a=b"), ())
    assert str(way) == f"https://{PUBLIC}:8443/f?a=b"
    assert headers == {"Host": "files.example:8443"}
    assert extensions == {"sni_hostname": "files.example"}
    names["files.example"] = ["2606:4700::1111"]
    way, headers, extensions = await led(httpx.URL("http://files.example/f"), ())
    assert str(way) == "http://[2606:4700::1111]/f"
    assert (headers, extensions) == ({"Host": "files.example"}, {})


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (["10.0.0.1"], ProtocolError),
        ([PUBLIC, "127.0.0.1"], ProtocolError),
        ([], ProtocolError),
        (None, Unavailable),
    ],
)
async def test_a_name_that_leads_inside_or_nowhere_is_refused(
    names: dict[str, list[str]], found: list[str] | None, error: type[AgentError]
) -> None:
    if found is not None:
        names["inside.example"] = found
    with pytest.raises(error):
        await led(httpx.URL("https://inside.example/f"), ())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:9/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_an_inner_address_in_any_spelling_is_refused(url: str) -> None:
    with pytest.raises(ProtocolError):
        await led(httpx.URL(url), ())


async def test_what_is_listed_is_not_looked_up(names: dict[str, list[str]]) -> None:
    url = httpx.URL("http://files.inside:9000/f")
    assert await led(url, ["http://files.inside:9000"]) == (url, {}, {})
    with pytest.raises(Unavailable):
        await led(httpx.URL("http://files.inside:9001/f"), ["http://files.inside:9000"])
