"""The simulated platforms, for what is started beside them."""

from tests.e2e.fixtures import town

__all__ = ["town"]
