"""Marks what an adapter inherits from the contract suite, so that the inner loop can leave it out."""

from __future__ import annotations

import pytest

from adapters.testing import AdapterContract


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and item.cls is not None and issubclass(item.cls, AdapterContract):
            item.add_marker(pytest.mark.contract)
