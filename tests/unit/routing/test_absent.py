"""Ids of nobody: what is no id, what is over, and what lives elsewhere."""

from typing import Any

import pytest

from shardws import ids
from shardws.errors import NoSuchConnection, ShardwsError
from shardws.outcomes import GONE, QUEUED, Outcome, SendOutcome
from shardws.routing.router import Router
from shardws.stats import SENDS_FAILED
from tests.unit.routing.shard_cluster import LOOPS, Cluster, outcome_of, run_scenario, share

pytestmark = pytest.mark.parametrize("loop", LOOPS)

GARBAGE: list[Any] = [0, -1, ids.MAX_ID + 1, 1 << 100, "7", None, 1.5, b"", [], True]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_what_is_no_id_is_gone(loop: str, garbage: Any) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, _ = await cluster.start_shards(2)
        for send in (
            left.router.send(garbage, 1, b"x"),
            left.router.disconnect(garbage),
            left.router.join(garbage, "g"),
            left.router.leave(garbage, "g"),
        ):
            assert send.outcome is Outcome.GONE
        assert left.stats[SENDS_FAILED] == 4
        with pytest.raises(NoSuchConnection):
            await left.router.query(garbage, "x")

    run_scenario(loop, scenario)


def test_absent_owners(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        send = left.router.send
        assert send(left.id(9), 1, b"").outcome is Outcome.GONE  # ours, over
        assert send(ids.pack(0, 0, 4, 1), 1, b"").outcome is Outcome.GONE  # our slot before us
        assert send(ids.pack(0, 1, 3, 1), 1, b"").outcome is Outcome.GONE  # a stale generation
        assert send(ids.pack(0, 9, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE  # empty slot
        assert send(ids.pack(5, 1, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE  # other node
        await cluster.end(right)
        cluster.announce()
        assert send(right.id(), 1, b"").outcome is Outcome.UNREACHABLE
        with pytest.raises(ShardwsError) as caught:
            await left.router.query(right.id(), "x")
        assert caught.value.code == 10065

    run_scenario(loop, scenario)


def test_unheeded_absence_is_an_event_and_a_heeded_one_is_not(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        (shard,) = await cluster.start_shards(1)
        shard.router.send(shard.id(1), 1, b"")
        assert await outcome_of(shard.router.send(shard.id(2), 1, b"")) is Outcome.GONE
        assert shard.sink.failed == [(shard.id(1), Outcome.GONE)]

    run_scenario(loop, scenario)


def test_other_nodes_are_the_remotes_business(loop: str) -> None:
    class Far:
        def __init__(self) -> None:
            self.asked: list[tuple[Any, ...]] = []

        def send(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
            self.asked.append((connection_id, kind, payload))
            return QUEUED

        def disconnect(self, connection_id: int, code: int, reason: str) -> SendOutcome:
            self.asked.append((connection_id, code, reason))
            return GONE

    async def scenario(cluster: Cluster) -> None:
        (shard,) = await cluster.start_shards(1)
        far = Far()
        router = Router(shard.mesh, shard.registry, shard.sink, share, far)
        there = ids.pack(3, 0, 0, 1)
        assert router.send(there, 1, b"x") is QUEUED
        assert router.disconnect(there, 1001, "bye") is GONE
        assert router.send(shard.id(5), 1, b"x").outcome is Outcome.GONE
        assert router.send(0, 1, b"x").outcome is Outcome.GONE
        assert router.disconnect(shard.id(5)).outcome is Outcome.GONE
        assert far.asked == [(there, 1, b"x"), (there, 1001, "bye")]

    run_scenario(loop, scenario)
