"""Marks what an adapter inherits from the contract suite, so that the inner loop can leave it out; polls without
patience."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from adapters.http import polling
from adapters.http.failures import ATTEMPTS
from adapters.testing import AdapterContract


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and item.cls is not None and issubclass(item.cls, AdapterContract):
            item.add_marker(pytest.mark.contract)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retries without waiting, polls without patience, as in the contract suite."""
    monkeypatch.setattr(polling, "FIRST", 0.001)
    monkeypatch.setattr(polling, "LONGEST", 0.005)
    monkeypatch.setattr(polling, "SETTLING", 0.1)
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield
