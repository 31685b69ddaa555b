"""`threadbridge demo` as a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time

import httpx
import pytest

ENDS_WITHIN = 4.0  # seconds; 2 on a machine with nothing else to do


@pytest.mark.slow
async def test_the_demo_serves_its_page_and_ends_at_once_with_it_open() -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "demo", "--port", "0", "--no-browser"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert demo.stdout is not None
        async with asyncio.timeout(30):
            line = (await demo.stdout.readline()).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        async with httpx.AsyncClient(base_url=found[0], trust_env=False) as client:
            page = await client.get("/")
            assert "Threadbridge playground" in page.text
            async with client.stream("GET", "/feed") as feed:
                events = feed.aiter_lines()
                assert '"server"' in await anext(events)
                said = await client.post(
                    "/say/slack",
                    data={"channel": "general", "text": "@threadbridge slow 60: one two three"},
                    headers={"Origin": found[0].rstrip("/")},
                )
                assert said.status_code == 204
                async for event in events:
                    if '"stoppable": true' in event:  # the agent is at work
                        break
                asked = time.monotonic()
                demo.send_signal(signal.SIGINT)
                async for _ in events:  # to its end, in good order
                    pass
        async with asyncio.timeout(30):
            _, errors = await demo.communicate()
        assert time.monotonic() - asked < ENDS_WITHIN
        assert demo.returncode == 0
        assert "Traceback" not in errors.decode()
        assert '"level": "error"' not in errors.decode()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()


@pytest.mark.slow
async def test_a_taken_port_is_one_sentence() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "demo", "--port", str(port), "--no-browser"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            _, errors = await demo.communicate()
    assert demo.returncode != 0
    assert f"--port {port}: Address already in use" in errors.decode()
    assert "Traceback" not in errors.decode()
