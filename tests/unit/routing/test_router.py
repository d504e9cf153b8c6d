"""Routing as a whole: shards that meet over real Unix sockets, on both loops."""

import asyncio
from collections.abc import Callable

import pytest

from shardws.errors import UsageError
from shardws.outcomes import DROPPED, QUEUED, Outcome, SendOutcome
from shardws.stats import LINKS_IN, LINKS_OUT, SENDS_FAILED
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.shard_cluster import (
    LOOPS,
    Cluster,
    FakeConnection,
    RoutingShard,
    outcome_of,
    run_scenario,
)

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_local_send_is_the_connections_answer(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        (shard,) = await cluster.start_shards(1)
        connection = shard.connect()
        assert shard.router.send(connection.id, 1, b"hello") is QUEUED
        connection.outcome = Outcome.FULL
        assert shard.router.send(connection.id, 2, b"x").outcome is Outcome.FULL
        assert connection.got == [(1, b"hello")]

    run_scenario(loop, scenario)


def test_remote_send_both_ways(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here, there = left.connect(), right.connect()
        assert await outcome_of(left.router.send(there.id, 1, b"to the right")) is Outcome.QUEUED
        assert await outcome_of(right.router.send(here.id, 2, b"")) is Outcome.QUEUED
        assert there.got == [(1, b"to the right")]
        assert here.got == [(2, b"")]

    run_scenario(loop, scenario)


@pytest.mark.parametrize("is_remote", [False, True])
def test_what_is_sent_as_the_data_format_says_is_formatted_by_the_owner(
    loop: str, is_remote: bool
) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        router = (left if is_remote else right).router
        for there.data_format in (0, 2, 9):
            assert await outcome_of(router.send_formatted(there.id, b"x")) is Outcome.QUEUED
        assert there.got == [(1, b"x"), (2, b"x"), (9, b"x")]
        there.data_format = 1
        if is_remote:  # its owner alone knows that it does not fit
            assert await outcome_of(router.send_formatted(there.id, b"\xff")) is Outcome.DROPPED
        else:
            with pytest.raises(UsageError):
                router.send_formatted(there.id, b"\xff")
        gone = router.send_formatted(there.id + 1000, b"x")
        assert await outcome_of(gone) is Outcome.GONE

    run_scenario(loop, scenario)


def test_outcome_is_unknown_until_asked_and_stays_known(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        send = left.router.send(there.id, 1, b"x")
        assert send.outcome is None
        assert "pending" in repr(send)
        assert [await outcome_of(send), send.outcome, await outcome_of(send)] == [
            Outcome.QUEUED
        ] * 3
        assert "QUEUED" in repr(send)

    run_scenario(loop, scenario)


def test_order_is_kept_over_10000_messages(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        for number in range(10_000):
            left.router.send(there.id, 2, b"%d" % number)
            if not number % 997:
                await asyncio.sleep(0)  # so that the messages come in many turns
        await there.wait_for(10_000)
        assert there.got == [(2, b"%d" % number) for number in range(10_000)]
        assert right.stats[LINKS_IN] >= 10_000 <= left.stats[LINKS_OUT]

    run_scenario(loop, scenario)


def test_messages_before_the_link_is_up_come_in_order(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        right = RoutingShard(cluster.directory, 1)
        there = right.connect()
        left.mesh.set_peers([right.peer])
        sends = [left.router.send(there.id, 2, b"%d" % number) for number in range(100)]
        cluster.shards.append(right)
        await right.start()
        assert [await outcome_of(send) for send in sends] == [Outcome.QUEUED] * 100
        assert there.got == [(2, b"%d" % number) for number in range(100)]

    run_scenario(loop, scenario)


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.DROPPED, Outcome.GONE])
def test_failure_at_the_owner_comes_back(loop: str, outcome: Outcome) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        bad, good = right.connect(1), right.connect(2)
        bad.outcome = outcome
        sends = [left.router.send(c.id, 1, b"x") for c in (good, bad, good, bad)]
        got = await asyncio.gather(*map(outcome_of, sends))
        assert got == [Outcome.QUEUED, outcome, Outcome.QUEUED, outcome]
        assert left.sink.failed == []

    run_scenario(loop, scenario)


def test_failure_nobody_awaits_is_told(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        lost = right.id(7)
        send = left.router.send(lost, 1, b"x")
        await left.sink.told.until(lambda: bool(left.sink.failed))
        assert left.sink.failed == [(lost, Outcome.GONE)]
        assert send.outcome is Outcome.GONE
        assert await outcome_of(send) is Outcome.GONE  # asked late
        assert right.stats[SENDS_FAILED] == 1

    run_scenario(loop, scenario)


def test_connection_that_cannot_send_that_is_dropped_not_a_dead_link(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        bad, good = right.connect(1), right.connect(2)
        bad.error = UsageError("no UTF-8")
        assert await outcome_of(left.router.send(bad.id, 1, b"\xff")) is Outcome.DROPPED
        assert await outcome_of(left.router.disconnect(bad.id)) is Outcome.DROPPED
        assert await outcome_of(left.router.send(good.id, 1, b"x")) is Outcome.QUEUED

    run_scenario(loop, scenario)


def test_disconnect(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here, there = left.connect(), right.connect()
        assert left.router.disconnect(here.id) is QUEUED
        assert await outcome_of(left.router.disconnect(there.id, 4000, "über")) is Outcome.QUEUED
        assert await outcome_of(left.router.disconnect(right.id(9))) is Outcome.GONE
        assert (here.closed, there.closed) == ((1000, ""), (4000, "über"))

    run_scenario(loop, scenario)


def test_misuse_is_an_error_of_the_caller(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2, frame_limit=1000)
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
        assert await outcome_of(left.router.send(there.id, 2, bytes(991))) is Outcome.QUEUED

    run_scenario(loop, scenario)


def test_full_connection_elsewhere_tells_when_it_has_drained(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, middle, right = await cluster.start_shards(3)
        there = right.connect()
        there.outcome = Outcome.FULL
        for asker in (left, middle):
            assert await outcome_of(asker.router.send(there.id, 1, b"x")) is Outcome.FULL
        right.router.on_drained(there)
        right.router.on_drained(there)  # the second time nobody waits
        for asker in (left, middle):
            await asker.sink.told.until(lambda asker=asker: bool(asker.sink.ready))  # type: ignore[misc]
            assert asker.sink.ready == [there.id]

    run_scenario(loop, scenario)


def test_who_waits_for_a_connection_elsewhere_hears_that_it_has_ended(loop: str) -> None:
    """It was forgotten in silence: whoever waited for ReadyToSend waited for ever."""

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        there.outcome = Outcome.FULL
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.FULL
        right.router.remove(there)
        await left.sink.told.until(lambda: bool(left.sink.ready))
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.GONE
        assert left.sink.ready == [there.id]

    run_scenario(loop, scenario)


def test_connection_that_ends_is_forgotten(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.join(there.id, "g"))
        right.router.remove(there)
        right.router.on_drained(there)
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.GONE
        assert left.router.publish("g", 1, b"x") is QUEUED
        assert (there.got, there.groups, left.sink.ready) == ([], None, [])

    run_scenario(loop, scenario)


def test_message_of_the_channel_has_no_place_on_a_link(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.send(there.id, 1, b"x"))
        link = left.mesh.links[right.identity.incarnation]
        link.reply(encode(m.READY, 1))
        await link.closed
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED

    run_scenario(loop, scenario)


def test_disconnect_refused_by_the_connection_comes_back(loop: str) -> None:
    class Closing(FakeConnection):
        def disconnect(self, code: int, reason: str) -> SendOutcome:
            return DROPPED

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        closing = Closing(right.id(1))
        right.registry.add(closing)
        assert await outcome_of(left.router.disconnect(closing.id)) is Outcome.DROPPED

    run_scenario(loop, scenario)


def test_written_is_a_success_too(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        there.outcome = Outcome.WRITTEN
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED

    run_scenario(loop, scenario)
