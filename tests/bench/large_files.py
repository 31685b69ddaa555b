"""Large files in and out by the real command, against the simulated platforms; what its memory grows by.

The simulators and the files they hold are in this process, the bridge is in its own. What counts is the highest
resident memory from the moment that the file is sent, above what it was once files of a few bytes had gone both ways.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from adapters.testing.backends.brain import Blob
from adapters.testing.backends.sema4ai import Sema4aiBackend
from bridge.commands import MAX_FILES
from bridge.settings import HttpSettings
from tests.e2e.people import DiscordPeople, NamedFile, SlackPeople, Thread
from tests.e2e.running import Process, as_toml, at_rest, people_of, running, settings_for
from tests.e2e.town import Town, make_town
from tests.e2e.waiting import eventually
from tests.ports import free_port

MB = 2**20
CHANNEL = "sema4ai"  # whose agent takes files and gives them
KIND = "application/octet-stream"
DISCORD_REQUEST = 24  # MB that a message of the bot's may have, with room for what is around them
BY_LINK = "big by link.bin"
SMALL = ("small.txt", "text/plain", b"a few bytes")


@dataclass(frozen=True, slots=True)
class Growth:
    """What one way of a file cost."""

    way: str
    megabytes: int
    grown: float  # MB


async def measure(platform: str, megabytes: int) -> list[Growth]:
    """Each way that a platform has for so large a file, in and out."""
    with tempfile.TemporaryDirectory() as folder:
        async with make_town() as town:
            town.discord.guild.boost_tier = 2  # 50 MB a file
            people = people_of(town, platform)
            database = Path(folder) / "threadbridge.db"
            settings = settings_for(town, platform, database)
            config = Path(folder) / "threadbridge.toml"
            limits = settings.limits.model_copy(update={"attachment_bytes": megabytes * MB})
            http = HttpSettings(port=free_port(), link_key=SecretStr("k" * 32), public_url="https://placeholder")
            http = http.model_copy(update={"public_url": f"http://127.0.0.1:{http.port}"})
            config.write_text(as_toml(settings.model_copy(update={"limits": limits, "http": http})))
            async with running(config, people) as process:
                if isinstance(people, SlackPeople):
                    return await _Slack(town, people, process, database).measure(megabytes)
                assert isinstance(people, DiscordPeople)
                return await _Discord(town, people, process, database).measure(megabytes)


class _Measured:
    def __init__(self, town: Town, process: Process, database: Path) -> None:
        self._town = town
        self._process = process
        self._database = database
        self._turns = 0

    async def _grown(self, way: str, megabytes: int, work: Callable[[], Awaitable[object]]) -> Growth:
        status = Path(f"/proc/{self._process.pid}")
        (status / "clear_refs").write_text("5")  # the peak counts from now on
        before = _kilobytes(status / "status", "VmRSS")
        await work()
        peak = _kilobytes(status / "status", "VmHWM")
        return Growth(way, megabytes, (peak - before) / 1024)

    async def _answered(self) -> None:
        self._turns += 1
        states = await at_rest(self._database, self._turns)
        assert set(states) == {"done"}, (states, self._process.log())

    def _put(self, name: str, content: bytes) -> None:
        """Into the conversation, as if the agent had made it."""
        backend = self._town.backend(CHANNEL)
        assert isinstance(backend, Sema4aiBackend)
        [conversation] = backend._conversations.values()
        conversation.files.append((name, Blob(name, KIND, content)))


class _Slack(_Measured):
    def __init__(self, town: Town, people: SlackPeople, process: Process, database: Path) -> None:
        super().__init__(town, process, database)
        self._people = people

    async def measure(self, megabytes: int) -> list[Growth]:
        thread = await self._people.say("ada", CHANNEL, "@threadbridge what is it?", [SMALL])
        await self._answered()
        await self._bring(thread, SMALL[0])
        big = ("big.bin", KIND, bytes(megabytes * MB))

        async def send() -> None:
            await self._people.reply("ada", thread, "and this?", [big])
            await self._answered()

        return [
            await self._grown("Slack, in with a message", megabytes, send),
            await self._grown("Slack, out by download", megabytes, lambda: self._bring(thread, big[0])),
        ]

    async def _bring(self, thread: Thread, name: str) -> None:
        direct = self._people.world.direct("ada").messages
        await self._people.reply("ada", thread, f"@threadbridge download {name}")
        await eventually(lambda: any(file.name == name for one in direct.values() for file in one.files))


class _Discord(_Measured):
    def __init__(self, town: Town, people: DiscordPeople, process: Process, database: Path) -> None:
        super().__init__(town, process, database)
        self._world = people.world
        self._thread = ""

    async def measure(self, megabytes: int) -> list[Growth]:
        await eventually(lambda: self._world.commands.get(0))
        await self._upload(CHANNEL, [SMALL])
        self._thread = str(self._world.threads(CHANNEL)[0].id)
        await self._bring(SMALL[0])
        each = -(-megabytes // MAX_FILES)
        ten = [(f"{number}.bin", KIND, bytes(each * MB)) for number in range(MAX_FILES)]
        sent = await self._grown("Discord, in by upload", megabytes, lambda: self._upload(self._thread, ten))
        out = min(megabytes, DISCORD_REQUEST)
        self._put("out.bin", bytes(out * MB))
        brought = await self._grown("Discord, out by download", out, lambda: self._bring("out.bin"))
        self._put(BY_LINK, bytes(megabytes * MB))
        linked = await self._grown("out by link", megabytes, lambda: self._follow(megabytes * MB))
        return [sent, brought, linked]

    async def _upload(self, channel: str, files: list[NamedFile]) -> None:
        named = {f"file{number}": file for number, file in enumerate(files, 1)}
        await self._world.command("ada", channel, "upload", {"text": "what is it?"}, named)
        await self._answered()

    async def _bring(self, name: str) -> None:
        used = await self._world.command("ada", self._thread, "download", {"name": name})
        await eventually(lambda: used.original_id and self._world.ephemeral[used.original_id].attachments)

    async def _follow(self, size: int) -> None:
        used = await self._world.command("ada", self._thread, "download", {"name": BY_LINK})
        await eventually(lambda: used.original_id and "(<" in self._world.ephemeral[used.original_id].content)
        url = self._world.ephemeral[used.original_id or 0].content.partition("(<")[2].partition(">)")[0]
        read = 0
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            async for piece in answer.aiter_raw():
                read += len(piece)
        assert read == size


def _kilobytes(status: Path, name: str) -> int:
    [line] = [line for line in status.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1])
