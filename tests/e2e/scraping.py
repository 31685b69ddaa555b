"""`/metrics` as Prometheus reads it, with its own parser."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.e2e.waiting import LOOK, PATIENCE

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Series = tuple[str, tuple[tuple[str, str], ...]]


def series(name: str, **labels: str) -> Series:
    return name, tuple(sorted(labels.items()))


async def scrape(port: int, **headers: str) -> Mapping[Series, float]:
    """Every series with its value; the series of a histogram's buckets left out."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    read: Any = read_openmetrics if "openmetrics" in answer.headers["content-type"] else read_text
    samples = [sample for family in read(answer.text) for sample in family.samples]
    return {
        series(sample.name, **sample.labels): sample.value
        for sample in samples
        if not sample.name.endswith("_bucket")
    }


async def counted(port: int, what: Series, value: float) -> None:
    """Wait until a count has come to a value."""
    async with asyncio.timeout(PATIENCE):
        while (await scrape(port)).get(what) != value:  # noqa: ASYNC110  # no event
            await asyncio.sleep(LOOK)


def grown(before: Mapping[Series, float], after: Mapping[Series, float]) -> dict[Series, float]:
    """By how much each count is more."""
    return {
        one: value - before.get(one, 0.0)
        for one, value in after.items()
        if one[0].endswith(("_total", "_count")) and value != before.get(one, 0.0)
    }
