"""Who was told lately that nothing is answered: whoever goes on writing isn't told each time."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping

from cachetools import LRUCache

from bridge.inbound import Person
from bridge.turns.inbox import NotAllowed

TELL_AGAIN = 600.0  # seconds, by each replica
REMEMBERED = 10_000  # people


class Told:
    """Of one platform."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: MutableMapping[tuple[str, str], float] = LRUCache(REMEMBERED)

    def is_due(self, person: Person, refusal: NotAllowed) -> bool:
        """Whether the person is to be told now, which counts as told."""
        key, now = (person.id, refusal.reason), self._clock()
        if not refusal.sentence or now < self._until.get(key, 0.0):
            return False
        self._until[key] = now + TELL_AGAIN
        return True
