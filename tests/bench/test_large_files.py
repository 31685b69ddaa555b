"""The memory that large files need: none that grows with them. `bench_files.py` measures the same with 200 MB."""

from __future__ import annotations

import pytest

from tests.bench.bench_files import MOST
from tests.bench.large_files import measure

MEGABYTES = 64


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_a_large_file_goes_in_and_out_within_a_bounded_memory(platform: str) -> None:
    grown = await measure(platform, MEGABYTES)
    assert [one for one in grown if one.grown > MOST] == []
