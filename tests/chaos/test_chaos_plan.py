"""The plan of a chaos run follows from its seed, and has what it is asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.chaos.plan import (
    HEAVY,
    PLATFORMS,
    POSTGRES_ONLY,
    Database,
    Fault,
    Plan,
    applicable,
    counted,
    make_plan,
)
from tests.e2e.town import AGENTS

TURNS = 1_000


def plan(seed: int = 1, turns: int = TURNS, replicas: int = 2, database: Database = "postgres") -> Plan:
    return make_plan(seed, turns, replicas, applicable(database, disk=True), speed=3.0, freeze=25.0)


def test_a_seed_replays_the_same_plan() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


@pytest.mark.parametrize("turns", [1, 3, 40, TURNS])
def test_it_has_as_many_turns_as_asked_for(turns: int) -> None:
    assert plan(turns=turns).turns == turns


@pytest.mark.parametrize("database", ["postgres", "sqlite"])
def test_every_fault_strikes(database: Database) -> None:
    replicas = 2 if database == "postgres" else 1
    assert set(counted(plan(replicas=replicas, database=database))) == set(applicable(database, disk=True))


def test_what_a_database_cannot_meet_is_left_out() -> None:
    assert Fault.DISK not in applicable("postgres", disk=True)
    assert not set(POSTGRES_ONLY) & set(applicable("sqlite", disk=True))
    assert Fault.DISK in applicable("sqlite", disk=True)
    assert Fault.DISK not in applicable("sqlite", disk=False)


def test_heavy_faults_never_overlap() -> None:
    heavy = [blow for blow in plan().blows if blow.fault in HEAVY]
    assert len(heavy) > 10
    assert all(first.at + first.seconds < second.at for first, second in pairwise(heavy))


def test_a_lone_process_is_not_frozen_for_a_lease() -> None:
    blows = plan(replicas=1, database="sqlite").blows
    assert max(blow.seconds for blow in blows if blow.fault is Fault.FREEZE) < 10


def test_every_agent_is_talked_with_on_both_platforms() -> None:
    met = {(talk.platform, talk.agent) for talk in plan().talks}
    assert met == {(platform, agent) for platform in PLATFORMS for agent in AGENTS}


def test_some_follow_ups_wait_and_some_do_not_and_some_are_overtaken() -> None:
    sayings = [saying for talk in plan().talks for saying in talk.sayings]
    assert {saying.waits for saying in sayings} == {True, False}
    assert any(saying.held for saying in sayings)
