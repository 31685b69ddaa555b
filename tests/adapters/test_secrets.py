"""No key in anything that is printed: neither in a `repr` nor in what a traceback with local values would show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.base import Adapter
from adapters.http.service import Service, create_client
from tests.adapters.test_built_in_adapters import BUILT_IN

KEY = "sk_hidden"
VALUES: dict[str, dict[str, Any]] = {
    "toqan": {},
    "sema4ai": {"agent_id": "a"},
    "enthusiast": {"data_set_id": 1, "agent_id": 2},
    "agentok": {"from_type": "project", "from_project": 1},
    "fifthelement": {"slug": "s"},
    "openai": {"model": "m", "headers": {"X-More": f"more {KEY}"}},
    "a2a": {},
}


def inside(value: object, seen: set[int]) -> Iterator[object]:
    """The value, and the objects of ours in it."""
    if id(value) in seen:
        return
    seen.add(id(value))
    yield value
    if type(value).__module__.startswith("adapters."):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        for part in [*vars(value).values()] if hasattr(value, "__dict__") else [getattr(value, n) for n in slots]:
            yield from inside(part, seen)


@pytest.mark.parametrize("kind", VALUES)
async def test_no_object_of_an_adapter_shows_its_key(kind: str) -> None:
    adapter: Adapter = BUILT_IN[kind]
    values = {"base_url": "http://a", "api_key": KEY, **VALUES[kind]}
    settings = adapter.Settings.model_validate(values)
    async with create_client() as client:
        agent = adapter(settings, client)
        objects = [*inside(settings, set()), *inside(agent, set())]
        assert len(objects) > 3
        for found in objects:
            assert KEY not in f"{found!r} {found!s}", type(found)


async def test_a_service_knows_its_key_all_the_same() -> None:
    async with create_client() as client:
        service = Service(client, "http://a", name="test", headers={"X-Key": KEY}, secret=SecretStr(KEY))
        assert KEY not in repr(vars(service))
        assert "X-Key" in repr(vars(service))
