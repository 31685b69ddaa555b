"""Strikes the faults of a plan."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.testing.backends import faults as backend_faults
from adapters.testing.backends.faults import EVERY
from tests.chaos.databases import Postgres, Sqlite
from tests.chaos.plan import HEAVY, Blow, Fault
from tests.chaos.recovery import Hit
from tests.chaos.replicas import Replica
from tests.chaos.world import World

SLACK_WRITES = ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update")
DISCORD_WRITES = ("POST /channels/*/messages", "PATCH /channels/*/messages/*")
OF_ONE_REPLICA = (Fault.KILL, Fault.FREEZE, Fault.BLACK_HOLE, Fault.CUT)
RETRY_AFTER = 1  # seconds
CUT_AFTER = 3  # chunks of a stream


@dataclass(slots=True)
class Blows:
    world: World
    replicas: Sequence[Replica]
    store: Postgres | Sqlite
    at_work: Callable[[int | None], frozenset[str]]  # the threads that a replica, or any, works on
    hits: list[Hit] = field(default_factory=list)

    async def strike_all(self, blows: Sequence[Blow], begun: float) -> None:
        """Each in its second; those that last go on beside the others."""
        async with asyncio.TaskGroup() as group:
            for blow in blows:
                await asyncio.sleep(max(0.0, begun + blow.at - time.monotonic()))
                group.create_task(self._strike(blow))

    async def _strike(self, blow: Blow) -> None:
        begun = time.monotonic()
        replica = blow.replica if blow.fault in OF_ONE_REPLICA else None
        threads = self.at_work(replica)
        if blow.fault in HEAVY:
            await self._heavy(blow)
        elif blow.fault.startswith("Slack"):
            await self._slack(blow)
        elif blow.fault.startswith("Discord"):
            self._discord(blow)
        else:
            self._backend(blow)
        self.hits.append(Hit(blow.fault.value, begun, time.monotonic(), replica, threads))

    async def _heavy(self, blow: Blow) -> None:
        replica, store = self.replicas[blow.replica], self.store
        match blow.fault:
            case Fault.KILL:
                await replica.kill()
                await asyncio.sleep(blow.seconds)
                await replica.start()
            case Fault.FREEZE:
                replica.freeze()
                await asyncio.sleep(blow.seconds)
                replica.thaw()
            case Fault.BLACK_HOLE if isinstance(store, Postgres):
                store.proxies[blow.replica].black_hole()
                await asyncio.sleep(blow.seconds)
                store.proxies[blow.replica].heal()
            case Fault.CUT if isinstance(store, Postgres):
                store.proxies[blow.replica].cut()
            case Fault.RESTART if isinstance(store, Postgres):
                await store.crash()
                await asyncio.sleep(blow.seconds)
                await store.start()
            case Fault.DISK if isinstance(store, Sqlite):
                store.fill()
                await asyncio.sleep(blow.seconds)
                store.free()
            case _:
                raise ValueError(f"{blow.fault} can't strike here")

    async def _slack(self, blow: Blow) -> None:
        world = self.world.slack
        match blow.fault:
            case Fault.SLACK_LOST:
                for method in SLACK_WRITES:
                    world.faults.hang_up(method, after=True, times=blow.times)
            case Fault.SLACK_ERRORS:
                for method in SLACK_WRITES:
                    world.faults.break_down(method, 503, times=blow.times)
            case Fault.SLACK_LIMITS:
                for method in SLACK_WRITES:
                    world.faults.throttle(method, RETRY_AFTER, times=blow.times)
            case Fault.SLACK_REDELIVERY:
                with contextlib.suppress(StopIteration):  # nothing was delivered yet
                    await world.deliveries.redeliver()
            case Fault.SLACK_EXPIRY:
                world.expire_streams()
            case Fault.SLACK_SOCKET:
                world.deliveries.drop()

    def _discord(self, blow: Blow) -> None:
        world = self.world.discord
        match blow.fault:
            case Fault.DISCORD_LOST:
                for route in DISCORD_WRITES:
                    world.faults.hang_up(route, after=True, times=blow.times)
            case Fault.DISCORD_ERRORS:
                for route in DISCORD_WRITES:
                    world.faults.break_down(route, 503, times=blow.times)
            case Fault.DISCORD_LIMITS:
                for route in DISCORD_WRITES:
                    world.faults.throttle(route, RETRY_AFTER, times=blow.times)
            case Fault.DISCORD_REDELIVERY:
                world.gateway.repeat_last()
            case Fault.DISCORD_DROP:
                world.gateway.drop()
            case Fault.DISCORD_INVALID:
                world.gateway.invalidate()

    def _backend(self, blow: Blow) -> None:
        armed = self.world.backend(blow.agent).faults
        match blow.fault:
            case Fault.BACKEND_ERRORS:
                armed.add(EVERY, backend_faults.refuse(503), times=blow.times)
            case Fault.BACKEND_LOST:
                armed.add(EVERY, backend_faults.drop(after=True), times=blow.times)
            case Fault.BACKEND_CUT:
                armed.add(EVERY, backend_faults.cut(CUT_AFTER), times=blow.times)
