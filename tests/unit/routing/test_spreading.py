"""To many and about many: groups, broadcast and queries across shards, on both loops."""

import asyncio

import pytest

from shardws import ids
from shardws.errors import NoSuchConnection, SendInterrupted, ShardwsError, UsageError
from shardws.outcomes import QUEUED, Outcome
from shardws.routing.inbound_link import InboundLink
from shardws.stats import LINKS_OUT
from shardws.wire import messages as m
from shardws.wire.messages import Peer
from tests.unit.routing.shard_cluster import (
    DEADLINE,
    LOOPS,
    Cluster,
    FakeConnection,
    RoutingShard,
    outcome_of,
    run_scenario,
)

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def everyone(*shards: RoutingShard) -> list[FakeConnection]:
    return [shard.connect(serial) for shard in shards for serial in (1, 2)]


def test_groups_across_shards(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, middle, right = await cluster.start_shards(3)
        a1, a2, b1, b2, c1, c2 = everyone(left, middle, right)
        for member in (a1, b1, b2):
            assert await outcome_of(left.router.join(member.id, "room")) is Outcome.QUEUED
        assert a1.groups == {"room"} == b1.groups
        assert left.router.publish("room", 1, b"one") is QUEUED
        await b2.wait_for(1)
        assert [len(c.got) for c in (a1, a2, b1, b2, c1, c2)] == [1, 0, 1, 1, 0, 0]
        assert b1.got == [(1, b"one")]
        assert await outcome_of(left.router.leave(b1.id, "room")) is Outcome.QUEUED
        assert await outcome_of(left.router.leave(a1.id, "room")) is Outcome.QUEUED
        left.router.publish("room", 1, b"two")
        await b2.wait_for(2)
        assert (len(a1.got), len(b1.got)) == (1, 1)
        assert not a1.groups

    run_scenario(loop, scenario)


def test_publish_right_behind_a_remote_join_arrives(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        left.router.join(there.id, "room")
        left.router.publish("room", 2, b"x")
        await there.wait_for(1)

    run_scenario(loop, scenario)


def test_other_shards_learn_of_a_first_member_and_of_a_last_one(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here, there = left.connect(), right.connect()
        right.router.join(there.id, "room")
        await outcome_of(right.router.send(here.id, 1, b"behind the news"))
        left.router.publish("room", 1, b"x")
        await there.wait_for(1)
        right.router.leave(there.id, "room")
        await outcome_of(right.router.send(here.id, 1, b"behind the news"))
        before = left.stats[LINKS_OUT]
        assert left.router.publish("room", 1, b"x") is QUEUED
        await outcome_of(right.router.send(here.id, 1, b"a round trip"))
        assert left.stats[LINKS_OUT] == before + 1  # SYNCED alone

    run_scenario(loop, scenario)


def test_new_shard_learns_the_groups_there_are(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        (left,) = await cluster.start_shards(1)
        here = left.connect()
        left.router.join(here.id, "room")
        right = await cluster.start_shard(1)
        cluster.announce()
        await outcome_of(left.router.send(right.id(9), 1, b"behind the greeting"))
        right.router.publish("room", 1, b"x")
        await here.wait_for(1)

    run_scenario(loop, scenario)


def test_join_that_failed_costs_one_publish(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here = left.connect()
        assert await outcome_of(left.router.join(right.id(9), "room")) is Outcome.GONE
        assert await outcome_of(left.router.leave(right.id(9), "room")) is Outcome.GONE
        left.router.publish("room", 1, b"nobody there")
        await outcome_of(left.router.send(right.id(9), 1, b"behind it"))
        await outcome_of(right.router.send(here.id, 1, b"behind the answer"))
        before = left.stats[LINKS_OUT]
        left.router.publish("room", 1, b"not sent at all")
        await outcome_of(right.router.send(here.id, 1, b"a round trip"))
        assert left.stats[LINKS_OUT] == before + 1

    run_scenario(loop, scenario)


def test_broadcast_reaches_every_connection_once(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        shards = await cluster.start_shards(3)
        connections = everyone(*shards)
        sent = shards[1].router.broadcast(2, b"all")
        assert await outcome_of(sent) is Outcome.QUEUED  # the links are being dialed
        for connection in connections:
            await connection.wait_for(1)
        assert [c.got for c in connections] == [[(2, b"all")]] * 6

    run_scenario(loop, scenario)


def test_full_member_is_an_event_on_its_shard_and_a_closing_one_is_not(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        full, closing, good = right.connect(1), right.connect(2), right.connect(3)
        full.outcome, closing.outcome = Outcome.FULL, Outcome.DROPPED
        left.router.broadcast(1, b"x")
        await good.wait_for(1)
        assert right.sink.failed == [(full.id, Outcome.FULL)]
        assert left.sink.failed == []

    run_scenario(loop, scenario)


def test_query(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here, there = left.connect(), right.connect()
        left.sink.replies[here.id, "host"] = b'"here"'
        right.sink.replies[there.id, "host"] = b'"there"'
        query = left.router.query
        assert await query(here.id, "host") == b'"here"'
        assert await query(there.id, "host") == b'"there"'
        for nobody in (there.id + 1, here.id + 1):
            with pytest.raises(NoSuchConnection):
                await query(nobody, "host")
        right.sink.error = UsageError("no such property: hots", code=214)
        with pytest.raises(UsageError, match="hots"):
            await query(there.id, "hots")

    run_scenario(loop, scenario)


def test_query_has_a_deadline_and_ends_with_the_link(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        left.mesh.set_peers([Peer(2, 0, left.identity.pid)])  # nobody listens there
        with pytest.raises(SendInterrupted):
            await left.router.query(ids.pack(0, 1, 0, 1), "host", 0.01)
        right = await cluster.start_shard(1)
        cluster.announce()
        there = right.connect()
        await outcome_of(left.router.send(there.id, 1, b"x"))
        question = asyncio.ensure_future(left.router.query(there.id, "host", DEADLINE))
        await asyncio.sleep(0)
        right.mesh.links[left.identity.incarnation].abort("killed")
        with pytest.raises(ShardwsError) as caught:
            await question
        assert caught.value.code in (10065, 1117)  # the answer may have left before

    run_scenario(loop, scenario)


def test_second_member_and_last_but_one_are_no_news(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here, one, two = left.connect(), right.connect(1), right.connect(2)
        for member in (one, two):
            await outcome_of(left.router.join(member.id, "room"))
        for member in (one, two):
            right.router.join(member.id, "local")
        right.router.leave(one.id, "local")
        await outcome_of(left.router.leave(one.id, "room"))
        await outcome_of(right.router.send(here.id, 1, b"behind the news"))
        left.router.publish("local", 1, b"to two")
        left.router.publish("room", 1, b"to two")
        await two.wait_for(2)
        assert one.got == []

    run_scenario(loop, scenario)


def test_a_publish_reaches_shards_that_have_not_said_their_news(loop: str) -> None:
    """A shard that had just come knew no members elsewhere; its publish was QUEUED and lost."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shard(0), await cluster.start_shard(1)
        there = right.connect()
        right.router.join(there.id, "room")
        left.mesh.set_peers([right.peer])
        sent = left.router.publish("room", 1, b"early")
        assert sent.outcome is None  # in this turn nobody has dialed
        await there.wait_for(1)
        assert await outcome_of(sent) is Outcome.QUEUED
        assert there.got == [(1, b"early")]

    run_scenario(loop, scenario)


def test_who_has_said_its_news_gets_only_what_it_wants(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here = left.connect()
        await outcome_of(right.router.send(here.id, 1, b"behind the news"))
        before = left.stats[LINKS_OUT]
        left.router.publish("room", 1, b"x")
        await outcome_of(left.router.send(right.connect().id, 1, b"x"))
        assert left.stats[LINKS_OUT] == before + 2  # DELIVER, SYNC

    run_scenario(loop, scenario)


def test_no_members_is_no_answer_on_a_link_that_will_begin_with_news(loop: str) -> None:
    """INTEREST off waited for the link and followed its news, so a member in between was lost."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shard(0), await cluster.start_shard(1)
        left.mesh.set_peers([right.peer])
        link = left.mesh.links[right.identity.incarnation]
        inbound = InboundLink(left.mesh, left.router.receiver, left.mesh.loop, 4096)
        inbound.incarnation = right.identity.incarnation
        left.router.receiver.receive(inbound, [(m.PUBLISH, 1, "room", b"x")])
        assert (link.is_up, link.queued) == (False, 0)

    run_scenario(loop, scenario)
