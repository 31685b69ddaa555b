"""What the comparison of `make bench` is made of: the scripted backend, the sightings, the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from tests.bench.compare import LATEST, WORKLOADS, measure, read_arguments, workloads
from tests.bench.load import percentile
from tests.bench.scripted_backend import (
    AGENT,
    PARAGRAPH,
    Script,
    ScriptedBackend,
    first_word,
    last_word,
    serve_scripted,
    words_of,
)
from tests.bench.sightings import Sighting
from tests.bench.table import BEGIN, END, drawn, rewritten

WORDS = 120


@pytest.mark.parametrize("pause", [0.0, 0.0001], ids=["at once", "word by word"])
async def test_the_backend_says_what_it_was_scripted_to(pause: float) -> None:
    backend = ScriptedBackend(Script(WORDS, pause))
    async with serve_scripted(backend) as url, httpx.AsyncClient(trust_env=False) as client:
        body = {"messages": [{"role": "user", "content": "question number 7"}]}
        async with aconnect_sse(client, "POST", f"{url}/v1/chat/completions", json=body) as source:
            events = [event.data async for event in source.aiter_sse()]
        assert events.pop() == "[DONE]"
        choices = [choice for event in events for choice in json.loads(event)["choices"]]
        assert [one["delta"].get("content") for one in choices] == [*words_of(7, WORDS), None]
        base = f"{url}/sema4ai/agents/{AGENT}/conversations"
        conversation = (await client.post(base, json={"name": "a"})).json()["id"]
        body_of = {"content": "question number 8"}
        async with aconnect_sse(client, "POST", f"{base}/{conversation}/stream", json=body_of) as source:
            deltas = [json.loads(event.data)["delta"] async for event in source.aiter_sse()]
        assert deltas == words_of(8, WORDS)
        messages = (await client.get(f"{base}/{conversation}/messages")).json()["data"]
        assert [one["content"] for one in messages] == ["question number 8", "".join(deltas)]
    assert backend.asked == {7: 1, 8: 1}


def test_an_answer_is_paragraphs_of_words() -> None:
    words = words_of(3, WORDS)
    assert len(words) == WORDS
    assert (words[0].strip(), words[-1]) == (first_word(3), last_word(3))
    assert "".join(words).count("\n\n") == (WORDS - 1) // PARAGRAPH


def test_a_sighting_notes_the_first_and_the_last_words_and_the_end() -> None:
    sighting, words = Sighting(3, asked_at=0.0), words_of(3, WORDS)
    noted = []
    for text, growing in (("Thinking", True), (words[0], True), ("".join(words), True), ("".join(words), False)):
        sighting.see("m", text, growing=growing)
        noted.append((sighting.first is not None, sighting.last is not None, sighting.done.is_set()))
    assert noted == [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]
    assert sighting.whole(WORDS)
    sighting.see("n", "and more", growing=False)
    assert not sighting.whole(WORDS)


def test_percentiles() -> None:
    assert percentile([], 0.95) == 0.0
    assert percentile([float(n) for n in range(100)], 0.95) == 95.0


def test_a_quick_run_has_every_workload() -> None:
    quick = workloads(read_arguments(["--quick"]))
    assert [work.name for work in quick] == [work.name for work in WORKLOADS]
    assert all(work.threads >= work.at_once for work in quick)


def test_only_a_whole_run_is_kept() -> None:
    assert read_arguments([]).json == read_arguments(["--rounds", "3"]).json == LATEST
    assert read_arguments(["--quick"]).json is read_arguments(["--only", "talk-openai"]).json is None
    assert read_arguments(["--quick", "--json", "a.json"]).json == Path("a.json")


def report(first: float) -> dict[str, Any]:
    keys = (
        "first_p50",
        "first_p95",
        "last_p50",
        "cpu_per_reply",
        "per_second",
        "seconds",
        "calls",
        "lost",
        "asked_twice",
    )
    ran = dict.fromkeys(keys, 10.0) | {"driver_busy": 0.2}
    work = {
        "name": "w",
        "platform": "slack",
        "kind": "openai",
        "threads": 3,
        "at_once": 2,
        "words": 5,
        "pause": 0.005,
    }
    runs = {"bridge": [ran | {"first_p50": first}, ran | {"first_p50": first + 2}], "floor": [ran, ran]}
    about = {"at": "2026-01-01", "python": "3.11", "cores": 2, "load": 0.1}
    return about | {"results": [{"workload": work, "runs": runs}]}


def test_the_table_has_medians_and_ratios() -> None:
    table = drawn(report(19.0))
    assert "| first words visible, p50 | 20 ms | 10 ms | 2.00 |" in table
    assert "3 threads, 2 at once, 5 words x 5 ms" in table


def test_the_readme_gets_the_table_between_its_marks() -> None:
    readme = f"before\n{BEGIN}\nan old table\n{END}\nafter\n"
    once = rewritten(readme, "a new table")
    assert once == f"before\n{BEGIN}\na new table\n{END}\nafter\n"
    assert rewritten(once, "a new table") == once
    with pytest.raises(ValueError, match="missing"):
        rewritten("no marks", "a table")


@pytest.mark.slow
@pytest.mark.parametrize("contender", ["bridge", "floor"])
@pytest.mark.parametrize("name", [work.name for work in WORKLOADS if work.pause])
async def test_every_contender_answers_on_each_platform_with_each_backend(
    name: str, contender: str, tmp_path: Path
) -> None:
    [work] = workloads(read_arguments(["--only", name, "--threads", "3", "--at-once", "3", "--words", "40"]))
    seen = await measure(work, contender, None)
    assert (seen["replies"], seen["lost"], seen["asked_twice"]) == (3, 0, 0)
    assert seen["cpu_per_reply"] > 0
