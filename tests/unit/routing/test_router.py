"""Routing as a whole: shards that meet over real Unix sockets, on both loops."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shardws import ids
from shardws.errors import NoSuchConnection, SendInterrupted, ShardwsError, UsageError
from shardws.outcomes import DROPPED, GONE, QUEUED, Outcome, SendOutcome
from shardws.routing.router import Router
from shardws.stats import LINKS_IN, LINKS_OUT, SENDS_FAILED
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.harness import DEADLINE, LOOPS, FakeConnection, Shard, Town, run, soon

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_local_send_is_the_connections_answer(loop: str) -> None:
    async def story(town: Town) -> None:
        (shard,) = await town.meet(1)
        connection = shard.connect()
        assert shard.router.send(connection.id, 1, b"hello") is QUEUED
        connection.outcome = Outcome.FULL
        assert shard.router.send(connection.id, 2, b"x").outcome is Outcome.FULL
        assert connection.got == [(1, b"hello")]

    run(loop, story)


def test_remote_send_both_ways(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        here, there = left.connect(), right.connect()
        assert await soon(left.router.send(there.id, 1, b"to the right")) is Outcome.QUEUED
        assert await soon(right.router.send(here.id, 2, b"")) is Outcome.QUEUED
        assert there.got == [(1, b"to the right")]
        assert here.got == [(2, b"")]

    run(loop, story)


def test_outcome_is_unknown_until_asked_and_stays_known(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        send = left.router.send(there.id, 1, b"x")
        assert send.outcome is None
        assert "pending" in repr(send)
        assert [await soon(send), send.outcome, await soon(send)] == [Outcome.QUEUED] * 3
        assert "QUEUED" in repr(send)

    run(loop, story)


def test_order_is_kept_over_10000_messages(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        for number in range(10_000):
            left.router.send(there.id, 2, b"%d" % number)
            if not number % 997:
                await asyncio.sleep(0)  # so that the messages come in many turns
        await there.wait_for(10_000)
        assert there.got == [(2, b"%d" % number) for number in range(10_000)]
        assert right.stats[LINKS_IN] >= 10_000 <= left.stats[LINKS_OUT]

    run(loop, story)


def test_messages_before_the_link_is_up_come_in_order(loop: str) -> None:
    async def story(town: Town) -> None:
        left = await town.found(0)
        right = Shard(town.directory, 1)
        there = right.connect()
        left.mesh.set_peers([right.peer])
        sends = [left.router.send(there.id, 2, b"%d" % number) for number in range(100)]
        town.shards.append(right)
        await right.mesh.start()
        assert [await soon(send) for send in sends] == [Outcome.QUEUED] * 100
        assert there.got == [(2, b"%d" % number) for number in range(100)]

    run(loop, story)


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.DROPPED, Outcome.GONE])
def test_failure_at_the_owner_comes_back(loop: str, outcome: Outcome) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        bad, good = right.connect(1), right.connect(2)
        bad.outcome = outcome
        sends = [left.router.send(c.id, 1, b"x") for c in (good, bad, good, bad)]
        got = await asyncio.gather(*map(soon, sends))
        assert got == [Outcome.QUEUED, outcome, Outcome.QUEUED, outcome]
        assert left.sink.failed == []

    run(loop, story)


def test_failure_nobody_awaits_is_told(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        lost = right.id(7)
        send = left.router.send(lost, 1, b"x")
        await left.sink.told.until(lambda: bool(left.sink.failed))
        assert left.sink.failed == [(lost, Outcome.GONE)]
        assert send.outcome is Outcome.GONE
        assert await soon(send) is Outcome.GONE  # asked late
        assert right.stats[SENDS_FAILED] == 1

    run(loop, story)


def test_connection_that_cannot_send_that_is_dropped_not_a_dead_link(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        bad, good = right.connect(1), right.connect(2)
        bad.error = UsageError("no UTF-8")
        assert await soon(left.router.send(bad.id, 1, b"\xff")) is Outcome.DROPPED
        assert await soon(left.router.disconnect(bad.id)) is Outcome.DROPPED
        assert await soon(left.router.send(good.id, 1, b"x")) is Outcome.QUEUED

    run(loop, story)


GARBAGE: list[Any] = [0, -1, ids.MAX_ID + 1, 1 << 100, "7", None, 1.5, b"", [], True]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_what_is_no_id_is_gone(loop: str, garbage: Any) -> None:
    async def story(town: Town) -> None:
        left, _ = await town.meet(2)
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

    run(loop, story)


def test_absent_owners(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        send = left.router.send
        assert send(left.id(9), 1, b"").outcome is Outcome.GONE  # ours, over
        assert send(ids.pack(0, 0, 4, 1), 1, b"").outcome is Outcome.GONE  # our slot before us
        assert send(ids.pack(0, 1, 3, 1), 1, b"").outcome is Outcome.GONE  # a stale generation
        assert send(ids.pack(0, 9, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE  # empty slot
        assert send(ids.pack(5, 1, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE  # other node
        await town.end(right)
        town.announce()
        assert send(right.id(), 1, b"").outcome is Outcome.UNREACHABLE
        with pytest.raises(ShardwsError) as caught:
            await left.router.query(right.id(), "x")
        assert caught.value.code == 10065

    run(loop, story)


def test_unheeded_absence_is_an_event_and_a_heeded_one_is_not(loop: str) -> None:
    async def story(town: Town) -> None:
        (shard,) = await town.meet(1)
        shard.router.send(shard.id(1), 1, b"")
        assert await soon(shard.router.send(shard.id(2), 1, b"")) is Outcome.GONE
        assert shard.sink.failed == [(shard.id(1), Outcome.GONE)]

    run(loop, story)


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

    async def story(town: Town) -> None:
        (shard,) = await town.meet(1)
        far = Far()
        router = Router(shard.mesh, shard.registry, shard.sink, lambda _, payload: payload, far)
        there = ids.pack(3, 0, 0, 1)
        assert router.send(there, 1, b"x") is QUEUED
        assert router.disconnect(there, 1001, "bye") is GONE
        assert router.send(shard.id(5), 1, b"x").outcome is Outcome.GONE
        assert router.send(0, 1, b"x").outcome is Outcome.GONE
        assert router.disconnect(shard.id(5)).outcome is Outcome.GONE
        assert far.asked == [(there, 1, b"x"), (there, 1001, "bye")]

    run(loop, story)


def test_disconnect(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        here, there = left.connect(), right.connect()
        assert left.router.disconnect(here.id) is QUEUED
        assert await soon(left.router.disconnect(there.id, 4000, "über")) is Outcome.QUEUED
        assert await soon(left.router.disconnect(right.id(9))) is Outcome.GONE
        assert (here.closed, there.closed) == ((1000, ""), (4000, "über"))

    run(loop, story)


def test_misuse_is_an_error_of_the_caller(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2, frame_limit=1000)
        there = right.connect()
        mistakes: list[Callable[[], SendOutcome]] = [
            lambda: left.router.send(there.id, 8, b""),
            lambda: left.router.send(there.id, 2, bytes(1000)),
            lambda: left.router.disconnect(there.id, 1006),
            lambda: left.router.disconnect(there.id, 1000, "x" * 124),
            lambda: left.router.disconnect(there.id, 1000, "\ud800"),
            lambda: left.router.join(there.id, ""),
            lambda: left.router.join(there.id, "x" * 1025),
            lambda: left.router.leave(there.id, "\ud800"),
            lambda: left.router.publish("", 1, b""),
            lambda: left.router.publish("g", 8, b""),
            lambda: left.router.broadcast(0, b""),
            lambda: left.router.broadcast(2, bytes(1000)),
        ]
        for mistake in mistakes:
            with pytest.raises(UsageError) as caught:
                mistake()
            assert caught.value.code == 213
        assert await soon(left.router.send(there.id, 2, bytes(991))) is Outcome.QUEUED

    run(loop, story)


def test_full_connection_elsewhere_tells_when_it_has_drained(loop: str) -> None:
    async def story(town: Town) -> None:
        left, middle, right = await town.meet(3)
        there = right.connect()
        there.outcome = Outcome.FULL
        for asker in (left, middle):
            assert await soon(asker.router.send(there.id, 1, b"x")) is Outcome.FULL
        right.router.on_drained(there)
        right.router.on_drained(there)  # the second time nobody waits
        for asker in (left, middle):
            await asker.sink.told.until(lambda asker=asker: bool(asker.sink.ready))  # type: ignore[misc]
            assert asker.sink.ready == [there.id]

    run(loop, story)


def test_connection_that_ends_is_forgotten(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.join(there.id, "g"))
        there.outcome = Outcome.FULL
        await soon(left.router.send(there.id, 1, b"x"))
        right.router.remove(there)
        right.router.on_drained(there)
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.GONE
        assert left.router.publish("g", 1, b"x") is QUEUED
        assert (there.got, there.groups, left.sink.ready) == ([], None, [])

    run(loop, story)


def everyone(*shards: Shard) -> list[FakeConnection]:
    return [shard.connect(serial) for shard in shards for serial in (1, 2)]


def test_groups_across_shards(loop: str) -> None:
    async def story(town: Town) -> None:
        left, middle, right = await town.meet(3)
        a1, a2, b1, b2, c1, c2 = everyone(left, middle, right)
        for member in (a1, b1, b2):
            assert await soon(left.router.join(member.id, "room")) is Outcome.QUEUED
        assert a1.groups == {"room"} == b1.groups
        assert left.router.publish("room", 1, b"one") is QUEUED
        await b2.wait_for(1)
        assert [len(c.got) for c in (a1, a2, b1, b2, c1, c2)] == [1, 0, 1, 1, 0, 0]
        assert b1.frames == [b"1:one"]
        assert await soon(left.router.leave(b1.id, "room")) is Outcome.QUEUED
        assert await soon(left.router.leave(a1.id, "room")) is Outcome.QUEUED
        left.router.publish("room", 1, b"two")
        await b2.wait_for(2)
        assert (len(a1.got), len(b1.got)) == (1, 1)
        assert not a1.groups

    run(loop, story)


def test_publish_right_behind_a_remote_join_arrives(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        left.router.join(there.id, "room")
        left.router.publish("room", 2, b"x")
        await there.wait_for(1)

    run(loop, story)


def test_other_shards_learn_of_a_first_member_and_of_a_last_one(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        here, there = left.connect(), right.connect()
        right.router.join(there.id, "room")
        await soon(right.router.send(here.id, 1, b"behind the news"))
        left.router.publish("room", 1, b"x")
        await there.wait_for(1)
        right.router.leave(there.id, "room")
        await soon(right.router.send(here.id, 1, b"behind the news"))
        before = left.stats[LINKS_OUT]
        assert left.router.publish("room", 1, b"x") is QUEUED
        await soon(right.router.send(here.id, 1, b"a round trip"))
        assert left.stats[LINKS_OUT] == before + 1  # SYNCED alone

    run(loop, story)


def test_new_shard_learns_the_groups_there_are(loop: str) -> None:
    async def story(town: Town) -> None:
        (left,) = await town.meet(1)
        here = left.connect()
        left.router.join(here.id, "room")
        right = await town.found(1)
        town.announce()
        await soon(left.router.send(right.id(9), 1, b"behind the greeting"))
        right.router.publish("room", 1, b"x")
        await here.wait_for(1)

    run(loop, story)


def test_join_that_failed_costs_one_publish(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        here = left.connect()
        assert await soon(left.router.join(right.id(9), "room")) is Outcome.GONE
        assert await soon(left.router.leave(right.id(9), "room")) is Outcome.GONE
        left.router.publish("room", 1, b"nobody there")
        await soon(left.router.send(right.id(9), 1, b"behind it"))
        await soon(right.router.send(here.id, 1, b"behind the answer"))
        before = left.stats[LINKS_OUT]
        left.router.publish("room", 1, b"not sent at all")
        await soon(right.router.send(here.id, 1, b"a round trip"))
        assert left.stats[LINKS_OUT] == before + 1

    run(loop, story)


def test_broadcast_reaches_every_connection_once(loop: str) -> None:
    async def story(town: Town) -> None:
        shards = await town.meet(3)
        connections = everyone(*shards)
        assert shards[1].router.broadcast(2, b"all") is QUEUED
        for connection in connections:
            await connection.wait_for(1)
        assert [c.got for c in connections] == [[(2, b"all")]] * 6
        assert {frame for c in connections for frame in c.frames} == {b"2:all"}

    run(loop, story)


def test_full_member_is_an_event_on_its_shard_and_a_closing_one_is_not(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        full, closing, good = right.connect(1), right.connect(2), right.connect(3)
        full.outcome, closing.outcome = Outcome.FULL, Outcome.DROPPED
        left.router.broadcast(1, b"x")
        await good.wait_for(1)
        assert right.sink.failed == [(full.id, Outcome.FULL)]
        assert left.sink.failed == []

    run(loop, story)


def test_query(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        here, there = left.connect(), right.connect()
        left.sink.answers[here.id, "host"] = b'"here"'
        right.sink.answers[there.id, "host"] = b'"there"'
        query = left.router.query
        assert await query(here.id, "host") == b'"here"'
        assert await query(there.id, "host") == b'"there"'
        for nobody in (there.id + 1, here.id + 1):
            with pytest.raises(NoSuchConnection):
                await query(nobody, "host")
        right.sink.error = UsageError("no such property: hots", code=214)
        with pytest.raises(UsageError, match="hots"):
            await query(there.id, "hots")

    run(loop, story)


def test_query_has_a_deadline_and_ends_with_the_link(loop: str) -> None:
    async def story(town: Town) -> None:
        left = await town.found(0)
        left.mesh.set_peers([(2, 0, left.identity.pid)])  # nobody listens there
        with pytest.raises(SendInterrupted):
            await left.router.query(ids.pack(0, 1, 0, 1), "host", 0.01)
        right = await town.found(1)
        town.announce()
        there = right.connect()
        await soon(left.router.send(there.id, 1, b"x"))
        question = asyncio.ensure_future(left.router.query(there.id, "host", DEADLINE))
        await asyncio.sleep(0)
        right.mesh.links[left.identity.incarnation].abort("killed")
        with pytest.raises(ShardwsError) as caught:
            await question
        assert caught.value.code in (10065, 1117)  # the answer may have left before

    run(loop, story)


def test_message_of_the_channel_has_no_place_on_a_link(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.send(there.id, 1, b"x"))
        link = left.mesh.links[right.identity.incarnation]
        link.answer(encode(m.READY, 1))
        await link.closed
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED

    run(loop, story)


def test_disconnect_refused_by_the_connection_comes_back(loop: str) -> None:
    class Closing(FakeConnection):
        def disconnect(self, code: int, reason: str) -> SendOutcome:
            return DROPPED

    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        closing = Closing(right.id(1))
        right.registry.add(closing)
        assert await soon(left.router.disconnect(closing.id)) is Outcome.DROPPED

    run(loop, story)


def test_written_is_a_success_too(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        there.outcome = Outcome.WRITTEN
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED

    run(loop, story)


def test_second_member_and_last_but_one_are_no_news(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        here, one, two = left.connect(), right.connect(1), right.connect(2)
        for member in (one, two):
            await soon(left.router.join(member.id, "room"))
        for member in (one, two):
            right.router.join(member.id, "local")
        right.router.leave(one.id, "local")
        await soon(left.router.leave(one.id, "room"))
        await soon(right.router.send(here.id, 1, b"behind the news"))
        left.router.publish("local", 1, b"to two")
        left.router.publish("room", 1, b"to two")
        await two.wait_for(2)
        assert one.got == []

    run(loop, story)
