"""What the runner needs of the replicas; and the only one there is on SQLite. Several are in `replicas.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

from bridge.store.lease import Lease

Bury = Callable[[Sequence[str]], Coroutine[None, None, None]]


class Presence(Protocol):
    """What the runner needs of the replicas."""

    lease: Lease

    async def keep(self, bury: Bury, hear: Callable[[str], None]) -> None:
        """Be seen until cancelled. `bury` is told of dead replicas, `hear` of what others announce."""
        ...

    async def alive(self) -> Sequence[str]:
        """Replicas that haven't been buried, this one too."""
        ...

    async def end_sessions(self, replica: str) -> None:
        """What a frozen replica has locked is free again."""
        ...

    async def leave(self, replica: str) -> None:
        """At a replica's clean end, or when a dead one's threads are taken over."""
        ...


class Alone:
    """SQLite serves one process: there is nobody to be seen by."""

    def __init__(self, replica: str) -> None:
        self.lease = Lease(alone=True)
        self._replica = replica

    async def keep(
        self,
        bury: Bury,  # noqa: ARG002
        hear: Callable[[str], None],  # noqa: ARG002
    ) -> None:
        await asyncio.Event().wait()

    async def alive(self) -> Sequence[str]:
        return [self._replica]

    async def end_sessions(self, replica: str) -> None:  # noqa: ARG002
        return

    async def leave(self, replica: str) -> None:  # noqa: ARG002
        return
