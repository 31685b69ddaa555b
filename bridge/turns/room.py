"""How many threads a process works on at once: of all agents together, and of each. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Room:
    """:param most: of all agents together.
    :param by_agent: of one agent, where that is limited.
    """

    def __init__(self, most: int, by_agent: Mapping[str, int]) -> None:
        self._most = most
        self._by_agent = {agent: limit for agent, limit in by_agent.items() if limit}
        self._held: Counter[str] = Counter()

    @property
    def limited(self) -> tuple[str, ...]:
        """The agents that have a limit of their own."""
        return tuple(self._by_agent)

    @property
    def free(self) -> int:
        return max(0, self._most - self._held.total())

    def free_for(self, agent: str) -> int:
        limit = self._by_agent.get(agent)
        return self.free if limit is None else max(0, min(self.free, limit - self._held[agent]))

    def take(self, agent: str) -> None:
        self._held[agent] += 1

    def give_back(self, agent: str) -> bool:
        """Whether somebody may have waited for it."""
        was_full = not self.free_for(agent)
        self._held[agent] -= 1
        return was_full
