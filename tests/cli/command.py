"""The `threadbridge` command as a process."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.running import environment

PATIENCE = 100.0  # seconds that a command may take on a very busy machine
WHOLE_TEST = 300  # seconds, of several commands


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def conversation(self) -> str:
        """The conversation's id, as `ask` told it."""
        [line] = [line for line in self.err.splitlines() if line.startswith("conversation: ")]
        return line.removeprefix("conversation: ")

    def is_one_sentence(self, *words: str) -> bool:
        """Exit code 1, nothing on standard output, and on standard error one sentence with these words."""
        return (
            self.code == 1
            and not self.out
            and "Traceback" not in self.err
            and self.sentence.startswith("threadbridge: ")
            and all(word in self.sentence for word in words)
        )

    @property
    def sentence(self) -> str:
        """What stands on standard error besides the log's lines."""
        [line] = [line for line in self.err.splitlines() if not line.startswith("{")]
        return line


async def run_command(*arguments: str, folder: Path, typed: str | None = None) -> Ended:
    """`typed` is what standard input holds."""
    folder.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *arguments, cwd=folder, env=environment(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate((typed or "").encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, out.decode(), err.decode())
