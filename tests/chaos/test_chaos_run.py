"""A short run of chaos on each database: processes killed and frozen, a full disk, and what goes wrong with
platforms and backends meanwhile. `make chaos` plays long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.options import Options
from tests.chaos.plan import Database, Fault, counted
from tests.chaos.playing import chaos, plan_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SHORT = {"seed": 5, "turns": 36, "speed": 2.0, "freeze": 20.0, "waits": 10.0, "quiet": 30.0, "patience": 120.0}


@pytest.mark.parametrize(("database", "replicas"), [("sqlite", 1), ("postgres", 2)])
async def test_the_promise_is_kept_whatever_happens(database: Database, replicas: int, tmp_path: Path) -> None:
    options = Options(database=database, replicas=replicas, keep=tmp_path, **SHORT)  # type: ignore[arg-type]
    assert {Fault.KILL, Fault.FREEZE} <= counted(plan_of(options)).keys()
    found = await chaos(options)
    assert report.kept(found), report.drawn(found)
