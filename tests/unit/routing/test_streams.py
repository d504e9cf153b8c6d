"""Streams to a connection of another shard: credit, order, and every way to end."""

import asyncio
from collections.abc import Callable

import pytest

from shardws.interfaces import Source
from shardws.outcomes import LaterSend, Outcome, SendOutcome
from shardws.routing import streams
from shardws.routing.stream_sender import WINDOW
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.shard_cluster import (
    LOOPS,
    Cluster,
    FakeConnection,
    RawPeer,
    RoutingShard,
    Signal,
    hello,
    outcome_of,
    run_scenario,
)

pytestmark = pytest.mark.parametrize("loop", LOOPS)


class Content:
    """A source of this size; raises at the end when it is bad, waits when it is slow."""

    def __init__(self, size: int, *, bad: bool = False) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.size = size
        self.given = 0
        self.bad = bad
        self.ended: list[Outcome] = []
        self.is_waiting = False

    def read(self, limit: int) -> bytes | None:
        if self.is_waiting:
            return None
        piece = bytes(min(limit, self.size - self.given))
        if not piece and self.bad:
            raise OSError("the disk is gone")
        self.given += len(piece)
        return piece

    def finish(self, outcome: Outcome) -> None:
        self.ended.append(outcome)


class Reader(FakeConnection):
    """A connection that reads a stream when it is told to, in pieces of one size."""

    def __init__(self, connection_id: int, piece: int = 10_000) -> None:
        super().__init__(connection_id)
        self.piece = piece
        self.read = 0
        self.sizes: list[int] = []
        self.is_reading = True
        self.result: LaterSend | None = None
        self.broken = ""  # why the stream ended early
        self.changed = Signal()

    def stream(self, kind: int, source: Source) -> SendOutcome:
        super().stream(kind, source)
        self.result = LaterSend(self.id, lambda connection_id, outcome: None)
        source.wake = self.go_on
        self.go_on()
        return self.result

    def go_on(self) -> None:
        _, source = self.sources[-1]
        while self.is_reading and self.result is not None:
            try:
                piece = source.read(self.piece)
            except OSError as error:
                self.broken = str(error.strerror)
                self.end(Outcome.DROPPED)
                break
            if piece is None:
                break
            self.read += len(piece)
            self.sizes.append(len(piece))
            if not piece:
                self.end(Outcome.QUEUED)
        self.changed.notify()

    def end(self, outcome: Outcome) -> None:
        result, self.result = self.result, None
        assert result is not None
        self.sources[-1][1].finish(outcome)
        result.settle(outcome)


def reader(shard: RoutingShard, piece: int = 10_000) -> Reader:
    connection = Reader(shard.id(), piece)
    shard.registry.add(connection)
    return connection


@pytest.mark.parametrize("size", [0, 1, 10_000, 1_000_000])
@pytest.mark.parametrize("piece", [10_000, 1 << 20])
def test_a_source_arrives_whole_in_pieces_of_the_wanted_size(
    loop: str, size: int, piece: int
) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right, piece)
        content = Content(size)
        sent = left.router.stream(there.id, 0, content)
        assert sent.outcome is None
        left.router.send(there.id, 1, b"behind")
        assert await outcome_of(sent) is Outcome.QUEUED
        assert there.sources[0][0] == 0
        assert there.read == content.given == size
        full, rest = divmod(size, piece)
        assert there.sizes == [piece] * full + [rest] * (rest > 0) + [0]
        assert content.ended == [Outcome.QUEUED]
        await there.wait_for(1)

    run_scenario(loop, scenario)


def test_a_connection_that_does_not_read_holds_back_the_source(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right)
        there.is_reading = False
        content = Content(10_000_000)
        sent = left.router.stream(there.id, 2, content)
        await there.arrived.until(lambda: bool(there.sources))
        await outcome_of(left.router.send(there.id, 1, b"the link goes on"))
        assert content.given == WINDOW
        there.is_reading = True
        there.go_on()
        assert await outcome_of(sent) is Outcome.QUEUED
        assert there.read == 10_000_000

    run_scenario(loop, scenario)


def test_a_source_may_have_nothing_for_a_while(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right, 100)
        content = Content(1000)
        content.is_waiting = True
        sent = left.router.stream(there.id, 2, content)
        await outcome_of(left.router.send(there.id, 1, b"x"))
        assert there.sources == []
        content.is_waiting = False
        content.wake()
        assert await outcome_of(sent) is Outcome.QUEUED
        assert there.sizes == [100] * 10 + [0]

    run_scenario(loop, scenario)


def test_the_ways_to_fail(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right)
        content = Content(10)
        assert await outcome_of(left.router.stream(right.id(9), 2, content)) is Outcome.GONE
        assert content.ended == [Outcome.GONE]
        assert await outcome_of(left.router.stream(left.id(9), 2, Content(10))) is Outcome.GONE
        bad = Content(300_000, bad=True)
        assert await outcome_of(left.router.stream(there.id, 2, bad)) is Outcome.DROPPED
        await there.changed.until(lambda: there.broken == "the disk is gone")
        assert left.sink.streams_failed == [
            (there.id, 10005, "a message could not be sent: the disk is gone")
        ]
        there.is_reading = False
        sent = left.router.stream(there.id, 2, Content(1_000_000))
        await there.arrived.until(lambda: len(there.sources) == 2)
        there.end(Outcome.DROPPED)
        assert await outcome_of(sent) is Outcome.DROPPED
        assert await outcome_of(left.router.send(there.id, 1, b"the link lives")) is Outcome.QUEUED
        assert left.sink.failed == []
        assert right.sink.failed == []

    run_scenario(loop, scenario)


def test_a_source_that_fails_with_all_credit_used_breaks_the_stream_not_the_link(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right)
        there.is_reading = False
        bad = Content(WINDOW + 1, bad=True)
        sent = left.router.stream(there.id, 2, bad)
        await there.arrived.until(lambda: bool(there.sources))
        link = left.mesh.links[right.identity.incarnation]
        there.is_reading = True
        there.go_on()
        assert await outcome_of(sent) is Outcome.DROPPED
        await there.changed.until(lambda: there.broken == "the disk is gone")
        assert left.mesh.links[right.identity.incarnation] is link

    run_scenario(loop, scenario)


def test_nobody_looks_at_a_failure(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        left.router.stream(right.id(9), 2, Content(10))
        await left.sink.told.until(lambda: bool(left.sink.failed))
        assert left.sink.failed == [(right.id(9), Outcome.GONE)]

    run_scenario(loop, scenario)


def test_full_is_followed_by_ready(loop: str) -> None:
    class Full(Reader):
        def stream(self, kind: int, source: Source) -> SendOutcome:
            source.finish(Outcome.FULL)
            return SendOutcome(Outcome.FULL)

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = Full(right.id())
        right.registry.add(there)
        assert await outcome_of(left.router.stream(there.id, 2, Content(10))) is Outcome.FULL
        right.router.on_drained(there)
        await left.sink.told.until(lambda: left.sink.ready == [there.id])

    run_scenario(loop, scenario)


def test_when_the_link_breaks_both_ends_hear_of_it(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right)
        there.is_reading = False
        content = Content(1_000_000)
        sent = left.router.stream(there.id, 2, content)
        await there.arrived.until(lambda: bool(there.sources))
        there.is_reading = True
        left.mesh.links[right.identity.incarnation].abort("killed")
        assert await outcome_of(sent) in (Outcome.UNREACHABLE, Outcome.DROPPED)
        await there.changed.until(lambda: bool(there.broken))
        assert len(content.ended) == 1

    run_scenario(loop, scenario)


def test_when_the_owner_ends_the_asker_hears_of_it(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right)
        there.is_reading = False
        sent = left.router.stream(there.id, 2, Content(1_000_000))
        await there.arrived.until(lambda: bool(there.sources))
        await cluster.end(right)
        cluster.announce()
        assert await outcome_of(sent) is Outcome.UNREACHABLE

    run_scenario(loop, scenario)


def test_a_full_link_refuses_the_beginning_and_delays_the_rest(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2, link_high_mark=100_000)
        there = reader(right)
        await outcome_of(left.router.send(there.id, 1, b"the link is up"))
        left.router.send(there.id, 1, bytes(99_000))
        assert left.router.stream(there.id, 2, Content(10_000)).outcome is Outcome.FULL
        await left.sink.told.until(lambda: left.sink.ready == [there.id])
        sent = left.router.stream(there.id, 2, Content(1_000_000))
        assert await outcome_of(sent) is Outcome.QUEUED
        assert there.read == 1_000_000

    run_scenario(loop, scenario)


def test_streams_of_a_shard_are_bounded(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = reader(right)
        there.is_reading = False
        sent = [left.router.stream(there.id, 2, Content(10)) for _ in range(3)]
        assert [one.outcome for one in sent] == [None, None, Outcome.FULL]

    run_scenario(loop, scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        [(m.STREAM, 1, 1, 2, m.STREAM_FIRST, bytes(WINDOW + 1))],
        [(m.STREAM, 1, 1, 2, m.STREAM_FIRST, b"x")] * 2,
    ],
    ids=["more than granted", "twice begun"],
)
def test_a_peer_that_breaks_the_rules_loses_its_link(
    loop: str, wrong: list[tuple[int, ...]]
) -> None:
    async def scenario(cluster: Cluster) -> None:
        shard = await cluster.start_shard(0)
        there = reader(shard)
        there.is_reading = False
        raw_peer = RawPeer(shard, cluster)
        parts = [(kind, token, there.id, *rest) for kind, token, _, *rest in wrong]
        said = b"".join(encode(*part) for part in parts)
        await raw_peer.send(hello(slot=1) + encode(m.START, 1) + said)
        assert await raw_peer.is_disconnected()

    run_scenario(loop, scenario)


def test_late_words_about_a_stream_are_of_no_matter(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        link = left.mesh.links[right.identity.incarnation]
        link.reply(encode(m.STREAM, 7, there.id, 2, m.STREAM_MORE, b"x"))
        link.reply(encode(m.STREAM_CREDIT, 7, 100))
        link.reply(encode(m.STREAM_END, 7, 0))
        assert await outcome_of(left.router.send(there.id, 1, b"the link lives")) is Outcome.QUEUED
        await asyncio.sleep(0)

    run_scenario(loop, scenario)
