"""Who should serve which shard."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bridge.sharding import shard_of, share_out


@pytest.mark.parametrize(
    ("owners", "servers", "expected"),
    [
        ({0: None, 1: None}, ["a"], {0: "a", 1: "a"}),
        ({0: "a", 1: "a", 2: "a", 3: "a"}, ["a", "b"], {0: "a", 1: "a", 2: "b", 3: "b"}),
        ({0: "a", 1: "dead", 2: "a", 3: "dead"}, ["a", "b"], {0: "a", 1: "b", 2: "a", 3: "b"}),
        ({0: "b", 1: None, 2: "a"}, ["a", "b", "c"], {0: "b", 1: "c", 2: "a"}),
        ({0: "b"}, ["a", "b", "c"], {0: "b"}),
        ({0: "a", 1: "a"}, [], {}),
    ],
)
def test_some_shares(owners: dict[int, str | None], servers: list[str], expected: dict[int, str]) -> None:
    assert share_out(owners, servers) == expected


def test_every_shard_is_one_replicas_evenly_and_with_the_fewest_moves() -> None:
    for seed in range(1_000):
        check_share(random.Random(seed))


def check_share(chance: random.Random) -> None:
    replicas = [f"r{number}" for number in range(chance.randint(1, 6))]
    servers = chance.sample(replicas, chance.randint(1, len(replicas)))
    owners = {number: chance.choice([None, *replicas]) for number in range(chance.randint(1, 20))}
    shares = share_out(owners, servers)
    assert shares.keys() == owners.keys(), "none unserved"
    counts = Counter(dict.fromkeys(servers, 0)) + Counter(shares.values())
    each = [counts[server] for server in servers]
    assert set(shares.values()) <= set(servers)
    assert max(each) - min(each) <= 1
    # Nobody can keep more than a full share; and only so many may keep the larger one.
    least, more = divmod(len(owners), len(servers))
    held = sorted((sum(owner == server for owner in owners.values()) for server in servers), reverse=True)
    kept = sum(min(count, least + (place < more)) for place, count in enumerate(held))
    assert sum(owners[number] == server for number, server in shares.items()) == kept
    assert share_out(dict(shares), list(reversed(servers))) == shares, "once shared out, nothing moves"


def test_which_shard_hears_whom() -> None:
    assert shard_of(None, 4) == 0
    assert [shard_of(number << 22 | 7, 4) for number in range(5)] == [0, 1, 2, 3, 0]
