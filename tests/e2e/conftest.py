"""Everything simulated, people of either platform, and the bridge between them."""

from tests.e2e.fixtures import bridging, database, people, platform, quick, town

__all__ = ["bridging", "database", "people", "platform", "quick", "town"]
