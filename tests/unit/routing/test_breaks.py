"""Links that break and peers that change: what is known of each send afterwards."""

import asyncio

import pytest

from shardws.outcomes import Outcome, SendOutcome
from shardws.routing.outbound_link import OutboundLink
from shardws.stats import LOST_FANOUTS
from shardws.wire import messages as m
from shardws.wire.codec import encode
from shardws.wire.messages import Peer
from tests.unit.routing.shard_cluster import (
    DEADLINE,
    LOOPS,
    Cluster,
    FakeConnection,
    RawPeer,
    hello,
    link_log,
    outcome_of,
    run_scenario,
)

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_link_killed_in_the_middle(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every send has an outcome, nothing arrives twice, and the next link serves."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.send(there.id, 2, b"0"))
        awaited = [left.router.send(there.id, 2, b"%d" % n) for n in range(1, 101)]
        waits = [asyncio.ensure_future(outcome_of(send)) for send in awaited[::2]]
        await asyncio.sleep(0)
        right.mesh.inbounds[left.identity.incarnation].refuse("killed")
        got = await asyncio.gather(*waits)
        assert set(got) == {Outcome.UNREACHABLE}
        assert (left.sink.lost, left.sink.failed) == ([50], [])
        assert all(send.outcome is Outcome.UNREACHABLE for send in awaited)
        assert await outcome_of(left.router.send(there.id, 2, b"101")) is Outcome.QUEUED
        assert there.got == [(2, b"0"), (2, b"101")]
        assert "50 sends in doubt" in " ".join(link_log(caplog))

    run_scenario(loop, scenario)


def test_messages_to_many_on_a_link_that_breaks_are_counted(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They were told QUEUED, and their loss with the link was in no number and in no log."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        link = left.mesh.links[right.identity.incarnation]
        left.router.broadcast(2, b"0")
        await outcome_of(left.router.send(there.id, 2, b"1"))  # its SYNC is for both
        assert link.ledger.fanouts_in_doubt == 0
        left.router.broadcast(2, b"2")
        await there.arrived.until(lambda: len(there.got) == 3)
        async with asyncio.timeout(DEADLINE):
            while link.ledger.fanouts_in_doubt:  # noqa: ASYNC110  the tail is confirmed by itself
                await asyncio.sleep(0.01)
        left.router.broadcast(2, b"3")
        left.router.publish("group", 2, b"to nobody")
        right.mesh.inbounds[left.identity.incarnation].refuse("killed")
        await outcome_of(left.router.send(there.id, 2, b"4"))
        async with asyncio.timeout(DEADLINE):
            while not link.is_down:  # noqa: ASYNC110  nothing tells the test
                await asyncio.sleep(0.01)
        assert left.mesh.row[LOST_FANOUTS] == 1
        assert any("; 1 messages to many in doubt" in line for line in link_log(caplog))

    run_scenario(loop, scenario)


def test_numbers_go_on_over_links(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        for _ in range(3):
            assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
            assert await outcome_of(left.router.send(right.id(9), 1, b"x")) is Outcome.GONE
            left.mesh.links[right.identity.incarnation].abort("killed")
        assert left.mesh.links[right.identity.incarnation].ledger.first == 7

    run_scenario(loop, scenario)


class Killer(FakeConnection):
    """A connection that breaks a link when it is sent to."""

    def __init__(self, connection_id: int, link: OutboundLink) -> None:
        super().__init__(connection_id)
        self.link = link

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        self.link.abort("killed")
        return super().send(kind, payload)


def test_lost_report_is_not_taken_for_success(loop: str) -> None:
    """Where reports were lost, the link they belong to ends: a later SYNCED would hide them."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.send(there.id, 1, b"x"))
        back = right.mesh.links[left.identity.incarnation]
        killer = Killer(right.id(2), back)
        right.registry.add(killer)
        failed = left.router.send(right.id(9), 1, b"x")  # its RESULT goes down with `back`
        behind = left.router.send(killer.id, 1, b"x")
        assert await outcome_of(behind) is Outcome.UNREACHABLE
        assert failed.outcome is Outcome.UNREACHABLE
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        assert failed.outcome is Outcome.UNREACHABLE

    run_scenario(loop, scenario)


@pytest.mark.parametrize("end", ["inbound", "outbound"])
def test_a_full_peer_is_tried_again_after_its_link_broke(loop: str, end: str) -> None:
    """ready_to_send was lost with the link, at whichever end that broke."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        there.outcome = Outcome.FULL
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.FULL
        breaking, other = (right, left) if end == "inbound" else (left, right)
        breaking.mesh.links[other.identity.incarnation].abort("killed")
        await left.sink.told.until(lambda: left.sink.ready == [there.id])

    run_scenario(loop, scenario)


def test_peer_known_by_its_hello_alone_is_answered(loop: str) -> None:
    """A new shard may speak before the supervisor's news of it; older news does not end it."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shard(0), await cluster.start_shard(1)
        there = right.connect()
        left.mesh.set_peers([right.peer])
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        right.mesh.set_peers([])
        here = left.connect()
        assert await outcome_of(right.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        link = right.mesh.links[left.identity.incarnation]
        await cluster.end(left)
        await link.closed
        assert right.router.send(here.id, 1, b"x").outcome is Outcome.UNREACHABLE

    run_scenario(loop, scenario)


@pytest.mark.parametrize(
    ("generation", "outcome"), [(0, Outcome.UNREACHABLE), (1, Outcome.GONE), (2, Outcome.GONE)]
)
def test_dead_generation(loop: str, generation: int, outcome: Outcome) -> None:
    """What was queued while a dead peer was dialed: GONE when its slot has a newer process."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.send(there.id, 1, b"x"))
        link = left.mesh.links[right.identity.incarnation]
        await cluster.end(right)
        await link.closed
        waiting = asyncio.ensure_future(outcome_of(left.router.send(there.id, 1, b"to the dead")))
        left.router.send(there.id, 1, b"and nobody waits")
        await asyncio.sleep(0)
        if generation:
            newer = await cluster.start_shard(1, generation)
            again = newer.connect()
        cluster.announce()
        assert await waiting is outcome
        assert left.sink.lost == [1]
        assert left.router.send(there.id, 1, b"x").outcome is outcome
        if generation:
            assert (
                await outcome_of(left.router.send(again.id, 1, b"to the living")) is Outcome.QUEUED
            )
            assert again.got == [(1, b"to the living")]

    run_scenario(loop, scenario)


def test_predecessor_and_successor_serve_side_by_side(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, old = await cluster.start_shards(2)
        before = old.connect()
        new = await cluster.start_shard(1, 1)
        after = new.connect()
        cluster.announce()
        assert await outcome_of(left.router.send(before.id, 1, b"x")) is Outcome.QUEUED
        assert await outcome_of(left.router.send(after.id, 1, b"x")) is Outcome.QUEUED
        assert await outcome_of(new.router.send(before.id, 1, b"x")) is Outcome.QUEUED
        link_log = [shard.mesh.links[old.identity.incarnation] for shard in (left, new)]
        await cluster.end(old)
        await asyncio.gather(*[link.closed for link in link_log])
        cluster.announce()
        assert await outcome_of(left.router.send(before.id, 1, b"x")) is Outcome.GONE
        assert await outcome_of(new.router.send(before.id, 1, b"x")) is Outcome.GONE

    run_scenario(loop, scenario)


def test_whoever_listens_must_be_the_process_that_was_named(loop: str) -> None:
    """A generation's path is used again; messages must not go to whoever is there."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shard(0), await cluster.start_shard(1)
        there = right.connect()
        row, generation, pid, _ = right.peer
        left.mesh.set_peers([Peer(row, generation, pid + 1)])
        waiting = asyncio.ensure_future(outcome_of(left.router.send(there.id, 1, b"x")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left.mesh.set_peers([Peer(row, generation, pid)])
        assert await waiting is Outcome.UNREACHABLE
        assert await outcome_of(left.router.send(there.id, 1, b"y")) is Outcome.QUEUED
        assert there.got == [(1, b"y")]

    run_scenario(loop, scenario)


def test_peer_that_dials_again_replaces_its_older_link(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        older, newer = RawPeer(left, cluster), RawPeer(left, cluster)
        await older.send(hello() + encode(m.START, 1))
        await newer.send(hello() + encode(m.START, 1))
        assert await older.is_disconnected()
        assert "the peer dialed again" in link_log(caplog)[0]
        newer.writer.close()

    run_scenario(loop, scenario)
