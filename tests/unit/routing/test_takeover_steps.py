"""A takeover step by step: what is rare in random runs (test_takeover)."""

import asyncio

import pytest

from shardws.errors import ShardwsError, StateError
from shardws.outcomes import Outcome
from shardws.routing import departed, forwarding, hold
from shardws.routing.arrivals import ALIGN_SECONDS
from tests.unit.routing.takeover.process import Client, SimConnection
from tests.unit.routing.takeover.steps import Steps, lead
from tests.unit.routing.takeover.traffic import Piecewise


class Slow(Piecewise):
    """A source that gives one piece at once, and the rest when it is told."""

    def __init__(self, first: bytes) -> None:
        self.wake = lambda: None
        self.outcome = None
        self.pieces: list[bytes | None] = [first, None]

    def read(self, limit: int) -> bytes | None:
        return self.pieces.pop(0) if self.pieces else None

    def go_on(self, *pieces: bytes) -> None:
        self.pieces += pieces
        self.wake()


def test_an_unswitched_member_reaches_what_joined_at_the_successor() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        steps.announce(steps.p, steps.s, steps.x, switched=True)
        await asyncio.sleep(0.5)
        assert await steps.x.router.join(client.id, "g") is Outcome.QUEUED
        await asyncio.sleep(0.5)
        steps.y.router.publish("g", 1, b"through P")
        await asyncio.sleep(0.5)
        assert client.got == [b"through P"]
        assert await steps.s.router.leave(client.id, "g") is Outcome.QUEUED
        steps.y.router.publish("g", 1, b"no member")
        await asyncio.sleep(0.5)
        assert client.got == [b"through P"]

    lead(scenario)


def test_a_group_is_reached_before_the_successor_is_heard_of_it() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.p.router.join(client.id, "g")
        await asyncio.sleep(0.5)
        steps.pipe(steps.s, steps.x).pause(is_paused=True)  # INTEREST does not arrive
        await steps.move(client)
        steps.announce(*steps.all, switched=True)
        steps.x.router.publish("g", 1, b"at once")
        await asyncio.sleep(0.5)
        steps.x.router.publish("g", 1, b"later")
        await asyncio.sleep(0.5)
        assert client.got == [b"at once", b"later"]
        steps.pipe(steps.s, steps.x).pause(is_paused=False)

    lead(scenario)


def test_what_a_stub_keeps_comes_before_what_is_sent_after_the_switch() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        steps.depart(client)
        first = steps.x.router.send(client.id, 1, b"first")
        await asyncio.sleep(0.5)
        steps.enter(client)
        steps.announce(*steps.all, switched=True)
        second = steps.x.router.send(client.id, 1, b"second")
        third = steps.s.router.send(client.id, 1, b"third")
        await asyncio.sleep(0.5)
        assert (first.outcome, second.outcome, third.outcome) == (None, None, None)
        steps.confirm(client)
        assert await first is await second is await third is Outcome.QUEUED
        assert client.got.index(b"first") < client.got.index(b"second")
        assert sorted(client.got) == [b"first", b"second", b"third"]

    lead(scenario)


def test_what_follows_a_relayed_stream_does_not_overtake_it() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        source = Slow(b"a file ")
        stream = steps.x.router.stream(client.id, 1, source)
        after = steps.x.router.send(client.id, 1, b"after")
        assert await after is Outcome.QUEUED
        assert client.got == []
        done = asyncio.Event()
        steps.p.router.departures.when_switched(done.set)
        steps.announce(*steps.all, switched=True)
        await asyncio.sleep(3.0)
        assert not done.is_set()  # the stream still goes through it
        source.go_on(b"read slowly", b"")
        assert await stream is source.outcome is Outcome.QUEUED
        assert client.got == [b"a file read slowly", b"after"]
        await steps.until(done.is_set)

    lead(scenario)


def test_a_stream_to_one_on_its_way_is_full_and_ready_follows() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        steps.depart(client)
        assert await steps.x.router.stream(client.id, 1, Slow(b"x")) is Outcome.FULL
        assert steps.p.router.stream(client.id, 1, Slow(b"x")).outcome is Outcome.FULL
        steps.enter(client)
        assert not steps.x.sink.ready
        steps.confirm(client)
        await steps.until(lambda: client.id in steps.x.sink.ready & steps.p.sink.ready)

    lead(scenario)


def test_a_stub_keeps_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departed, "HELD_BYTES", 100)

    async def scenario(steps: Steps, client: Client) -> None:
        steps.depart(client)
        kept = steps.x.router.send(client.id, 1, b"k" * 90)
        assert await steps.x.router.send(client.id, 1, b"n" * 90) is Outcome.FULL
        steps.enter(client)
        steps.confirm(client)
        assert await kept is Outcome.QUEUED
        await steps.until(lambda: client.id in steps.x.sink.ready)
        assert client.got == [b"k" * 90]

    lead(scenario)


def test_so_much_is_passed_on_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_FORWARDED", 2)

    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        sends = [steps.x.router.send(client.id, 1, b"%d" % number) for number in range(3)]
        outcomes = [await send for send in sends]
        assert outcomes == [Outcome.QUEUED, Outcome.QUEUED, Outcome.FULL]
        await steps.until(lambda: client.id in steps.x.sink.ready)
        assert client.got == [b"0", b"1"]

    lead(scenario)


def test_a_client_that_reads_slowly_is_ready_for_the_shard_that_asked() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        client.connection.is_full = True
        assert await steps.x.router.send(client.id, 1, b"no") is Outcome.FULL
        client.connection.is_full = False
        steps.s.router.on_drained(client.connection)
        await steps.until(lambda: client.id in steps.x.sink.ready)
        assert steps.p.sink.failed == []  # it was not P's message

    lead(scenario)


def test_what_was_confirmed_dies_with_the_successor() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        stayed = steps.p.connect()
        await steps.p.router.join(client.id, "g")
        await steps.move(client)
        steps.announce(steps.x, steps.p, switched=True)
        steps.s.kill()
        steps.all.remove(steps.s)
        steps.announce(steps.p, steps.x, steps.y)
        await asyncio.sleep(0.5)
        for process in (steps.p, steps.x, steps.y):
            assert await process.router.send(client.id, 1, b"over") is Outcome.GONE
            assert await process.router.send(stayed.id, 1, b"here") is Outcome.QUEUED
        assert stayed.got == [b"here"] * 3

    lead(scenario)


def test_a_hold_keeps_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "HELD_BYTES", 100)

    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        steps.announce(*steps.all, switched=True)
        router = steps.s.router
        kept = router.send(client.id, 1, b"k" * 90)
        assert router.send(client.id, 1, b"n" * 90).outcome is Outcome.FULL
        assert router.stream(client.id, 1, Slow(b"x")).outcome is Outcome.FULL
        assert not steps.s.sink.ready
        assert await kept is Outcome.QUEUED
        assert client.id in steps.s.sink.ready
        assert client.got == [b"k" * 90]

    lead(scenario)


def test_everything_that_is_held_is_done_in_order() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        steps.announce(*steps.all, switched=True)
        router = steps.s.router
        router.join(client.id, "g")
        router.publish("g", 1, b"1")
        router.send_formatted(client.id, b"2")
        router.broadcast(1, b"3")
        router.leave(client.id, "g")
        router.publish("g", 1, b"not a member")
        closed = router.disconnect(client.id)
        assert await closed is Outcome.QUEUED
        assert client.got == [b"1", b"2", b"3"]
        assert client.is_closed

    lead(scenario)


def test_what_is_taken_back_gets_what_was_kept() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        old = client.connection
        steps.depart(client)
        router = steps.x.router
        sends = [router.send(client.id, 1, b"1"), router.join(client.id, "g")]
        await asyncio.sleep(0.5)
        router.publish("g", 1, b"2")
        sends += [router.send_formatted(client.id, b"3")]
        await asyncio.sleep(0.5)
        old.has_left, client.connection = False, old
        steps.p.router.departures.take_back(old)
        assert [await send for send in sends] == [Outcome.QUEUED] * 3
        assert client.got == [b"1", b"2", b"3"]
        assert old.groups == {"g"}
        router.publish("g", 1, b"4")
        await steps.until(lambda: client.got[-1] == b"4")
        with pytest.raises(StateError, match="not on its way"):
            steps.p.router.departures.take_back(old)

    lead(scenario)


def test_a_new_link_to_the_successor_says_again_who_is_confirmed() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.p.router.join(client.id, "g")
        await asyncio.sleep(0.5)
        steps.depart(client)
        steps.enter(client)
        steps.confirm(client)
        steps.p.mesh.links[steps.s.incarnation].abort("CONFIRMED is lost")
        await asyncio.sleep(0.5)
        steps.x.router.publish("g", 1, b"relayed")
        await steps.until(lambda: client.got == [b"relayed"])

    lead(scenario)


def test_a_predecessor_that_hangs_holds_a_member_up_for_a_while_only() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.move(client)
        steps.pipe(steps.x, steps.p).pause(is_paused=True)
        steps.announce(*steps.all, switched=True)
        loop = asyncio.get_running_loop()
        since = loop.time()
        assert await steps.x.router.send(client.id, 1, b"late") is Outcome.QUEUED
        assert ALIGN_SECONDS <= loop.time() - since < ALIGN_SECONDS + 1
        steps.pipe(steps.x, steps.p).pause(is_paused=False)

    lead(scenario)


def test_queries_find_a_connection_wherever_it_is() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        asked = b"%d" % client.id
        steps.depart(client)
        with pytest.raises(ShardwsError, match="on its way"):
            await steps.p.router.query(client.id, "x")
        with pytest.raises(ShardwsError):
            await steps.x.router.query(client.id, "x")
        steps.enter(client)
        assert await steps.s.router.query(client.id, "x") == asked
        steps.confirm(client)
        assert await steps.x.router.query(client.id, "x") == asked  # through P
        assert await steps.p.router.query(client.id, "x") == asked
        steps.announce(*steps.all, switched=True)
        assert await steps.x.router.query(client.id, "x") == asked
        stayed = steps.p.connect()
        assert await steps.x.router.query(stayed.id, "x") == b"%d" % stayed.id  # through S

    lead(scenario)


def test_what_the_predecessor_did_not_hand_over_is_still_reached() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        stayed = steps.p.connect()
        await steps.move(client)
        steps.announce(*steps.all, switched=True)
        for process in (steps.x, steps.s, steps.p):
            assert await process.router.send(stayed.id, 1, b"hello") is Outcome.QUEUED
        assert stayed.got == [b"hello"] * 3
        assert await steps.x.router.send(stayed.id + 1, 1, b"nobody") is Outcome.GONE
        steps.s.end(client.connection)
        for process in (steps.x, steps.s, steps.p):
            assert await process.router.send(client.id, 1, b"over") is Outcome.GONE

    lead(scenario)


def test_a_record_that_is_read_after_its_predecessor_died_is_served() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        await steps.p.router.join(client.id, "g")
        steps.depart(client)
        steps.p.kill()
        living = [steps.s, steps.x, steps.y]
        steps.announce(*living, switched=True)
        await asyncio.sleep(0.5)
        steps.enter(client)
        await asyncio.sleep(0.5)
        assert await steps.x.router.send(client.id, 1, b"1") is Outcome.QUEUED
        steps.x.router.publish("g", 1, b"2")
        await steps.until(lambda: client.got == [b"1", b"2"])

    lead(scenario)


def test_what_is_no_takeover_is_refused() -> None:
    async def scenario(steps: Steps, client: Client) -> None:
        departures, arrivals = steps.p.router.departures, steps.s.router.arrivals
        with pytest.raises(StateError, match="not known"):
            departures.depart(client.connection, 12345)
        with pytest.raises(StateError, match="not here"):
            steps.x.router.departures.depart(client.connection, steps.s.incarnation)
        other = steps.p.connect()
        await steps.move(client)
        with pytest.raises(StateError, match="another one already"):
            departures.depart(other.connection, steps.x.incarnation)
        with pytest.raises(ValueError, match="taken"):
            steps.enter(client)
        with pytest.raises(StateError, match="another process"):
            arrivals.enter(SimConnection(Client(7, 0.0), steps.s), steps.x.incarnation)
        steps.announce(*steps.all, switched=True)
        with pytest.raises(StateError, match="switched already"):
            arrivals.enter(SimConnection(Client(8, 0.0), steps.s), steps.p.incarnation)

    lead(scenario)
