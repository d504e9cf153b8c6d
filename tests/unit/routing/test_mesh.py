"""The mesh on real Unix sockets: peers that come, go, change, break, lag and lie."""

import asyncio
import os
import socket
from typing import Any

import pytest

from shardws import ids
from shardws.errors import StartError
from shardws.outcomes import Outcome, SendOutcome
from shardws.routing import mesh as module
from shardws.routing import unix
from shardws.routing.identity import ADMIN_SLOT, incarnation
from shardws.routing.link import Link
from shardws.stats import LINK_BYTES
from shardws.wire import messages as m
from shardws.wire.codec import Decoder, encode
from tests.unit.routing.harness import LOOPS, NONCE, FakeConnection, Shard, Town, run, soon

pytestmark = pytest.mark.parametrize("loop", LOOPS)

PID = os.getpid()


def hello(**changes: Any) -> bytes:
    said = {"node": 0, "slot": 1, "generation": 0, "pid": PID, "boot_nonce": NONCE, **changes}
    return encode(m.HELLO, m.VERSION, *said.values())


def links(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged about links, without the dials that were tried again."""
    lines = [record.getMessage() for record in caplog.records if record.name == "shardws.routing"]
    return [line for line in lines if "trying on" not in line]


class Stranger:
    """A bare socket that says what it likes to a shard."""

    def __init__(self, shard: Shard, town: Town) -> None:
        self._path = f"{town.directory}/shard-{shard.identity.row}.sock"

    async def say(self, data: bytes) -> None:
        self.reader, self.writer = await asyncio.open_unix_connection(self._path)
        self.writer.write(data)

    async def is_dropped(self) -> bool:
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True
        finally:
            self.writer.close()


class Deaf:
    """A peer that accepts and does not read until it is told to."""

    def __init__(self, town: Town, row: int) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{town.directory}/shard-{row}.sock")
        self._listener.listen()
        self._listener.setblocking(False)
        self.got: list[tuple[Any, ...]] = []

    async def accept(self) -> None:
        self._sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)

    async def read(self, until: int) -> None:
        """Read until a message of kind `until` has come."""
        decoder = Decoder(1 << 26, m.SHARD)
        while until not in [message[0] for message in self.got]:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 1 << 20)
            assert data
            self.got += decoder.feed(data)

    def close(self) -> None:
        self._sock.close()
        self._listener.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "above the limit"),
        (hello(boot_nonce="f" * 16), "belongs to another server"),
        (hello(pid=PID + 1), f"process {PID} says that it is {PID + 1}"),
        (hello(slot=0), "this very process"),
        (encode(m.HELLO, 2, 0, 1, 0, PID, NONCE), "speaks wire version 2"),
    ],
    ids=["garbage", "nonce", "pid", "ourselves", "version"],
)
def test_stranger_is_dropped_with_one_line_and_nobody_notices(
    loop: str, data: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.send(there.id, 1, b"x"))
        stranger = Stranger(left, town)
        await stranger.say(data)
        assert await stranger.is_dropped()
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        assert len(links(caplog)) == 1
        assert reason in links(caplog)[0]
        assert left.sink.lost == []

    run(loop, story)


def test_garbage_behind_a_good_opening_closes_that_link_alone(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(town: Town) -> None:
        left, right, third = await town.meet(3)
        here, there = left.connect(), right.connect()
        await soon(left.router.send(there.id, 1, b"x"))
        await soon(third.router.send(here.id, 1, b"x"))
        # What is out of step is found by SYNC: 9 messages are claimed that never came.
        right.mesh.links[left.identity.incarnation].answer(encode(m.SYNC, 9))
        assert await soon(left.router.send(there.id, 1, b"x")) is not None
        assert await soon(third.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        assert any("the peer counts 9 messages" in line for line in links(caplog))
        assert await soon(right.router.send(here.id, 1, b"again")) is Outcome.QUEUED

    run(loop, story)


def test_link_killed_in_the_middle(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every send has an outcome, nothing arrives twice, and the next link serves."""

    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.send(there.id, 2, b"0"))
        awaited = [left.router.send(there.id, 2, b"%d" % n) for n in range(1, 101)]
        waits = [asyncio.ensure_future(soon(send)) for send in awaited[::2]]
        await asyncio.sleep(0)
        right.mesh.inbounds[left.identity.incarnation].refuse("killed")
        got = await asyncio.gather(*waits)
        assert set(got) == {Outcome.UNREACHABLE}
        assert (left.sink.lost, left.sink.failed) == ([50], [])
        assert all(send.outcome is Outcome.UNREACHABLE for send in awaited)
        assert await soon(left.router.send(there.id, 2, b"101")) is Outcome.QUEUED
        assert there.got == [(2, b"0"), (2, b"101")]
        assert "50 sends in doubt" in " ".join(links(caplog))

    run(loop, story)


def test_numbers_go_on_over_links(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        for _ in range(3):
            assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
            assert await soon(left.router.send(right.id(9), 1, b"x")) is Outcome.GONE
            left.mesh.links[right.identity.incarnation].abort("killed")
        assert left.mesh.links[right.identity.incarnation].ledger.first == 7

    run(loop, story)


class Killer(FakeConnection):
    """A connection that breaks a link when it is sent to."""

    def __init__(self, connection_id: int, link: Link) -> None:
        super().__init__(connection_id)
        self.link = link

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        self.link.abort("killed")
        return super().send(kind, payload)


def test_lost_report_is_not_taken_for_success(loop: str) -> None:
    """Where reports were lost, the link they belong to ends: a later SYNCED would hide them."""

    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.send(there.id, 1, b"x"))
        back = right.mesh.links[left.identity.incarnation]
        killer = Killer(right.id(2), back)
        right.registry.add(killer)
        failed = left.router.send(right.id(9), 1, b"x")  # its RESULT goes down with `back`
        behind = left.router.send(killer.id, 1, b"x")
        assert await soon(behind) is Outcome.UNREACHABLE
        assert failed.outcome is Outcome.UNREACHABLE
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        assert failed.outcome is Outcome.UNREACHABLE

    run(loop, story)


def test_ready_to_send_lost_with_a_link_is_made_up_for(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        there.outcome = Outcome.FULL
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.FULL
        right.mesh.links[left.identity.incarnation].abort("killed")
        await left.sink.told.until(lambda: left.sink.ready == [there.id])

    run(loop, story)


def test_full_peer_is_tried_again_over_the_next_link(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        there.outcome = Outcome.FULL
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.FULL
        left.mesh.links[right.identity.incarnation].abort("killed")
        await left.sink.told.until(lambda: left.sink.ready == [there.id])

    run(loop, story)


def test_peer_known_by_its_hello_alone_is_answered(loop: str) -> None:
    """A new shard may speak before the supervisor's news of it; older news does not end it."""

    async def story(town: Town) -> None:
        left, right = await town.found(0), await town.found(1)
        there = right.connect()
        left.mesh.set_peers([right.peer])
        assert await soon(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        right.mesh.set_peers([])
        here = left.connect()
        assert await soon(right.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        link = right.mesh.links[left.identity.incarnation]
        await town.end(left)
        await link.closed
        assert right.router.send(here.id, 1, b"x").outcome is Outcome.UNREACHABLE

    run(loop, story)


@pytest.mark.parametrize(
    ("generation", "fate"), [(0, Outcome.UNREACHABLE), (1, Outcome.GONE), (2, Outcome.GONE)]
)
def test_dead_generation(loop: str, generation: int, fate: Outcome) -> None:
    """What was queued while a dead peer was dialed: GONE when its slot has a newer process."""

    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.send(there.id, 1, b"x"))
        link = left.mesh.links[right.identity.incarnation]
        await town.end(right)
        await link.closed
        waiting = asyncio.ensure_future(soon(left.router.send(there.id, 1, b"to the dead")))
        left.router.send(there.id, 1, b"and nobody waits")
        await asyncio.sleep(0)
        if generation:
            newer = await town.found(1, generation)
            again = newer.connect()
        town.announce()
        assert await waiting is fate
        assert left.sink.lost == [1]
        assert left.router.send(there.id, 1, b"x").outcome is fate
        if generation:
            assert await soon(left.router.send(again.id, 1, b"to the living")) is Outcome.QUEUED
            assert again.got == [(1, b"to the living")]

    run(loop, story)


def test_predecessor_and_successor_serve_side_by_side(loop: str) -> None:
    async def story(town: Town) -> None:
        left, old = await town.meet(2)
        before = old.connect()
        new = await town.found(1, 1)
        after = new.connect()
        town.announce()
        assert await soon(left.router.send(before.id, 1, b"x")) is Outcome.QUEUED
        assert await soon(left.router.send(after.id, 1, b"x")) is Outcome.QUEUED
        assert await soon(new.router.send(before.id, 1, b"x")) is Outcome.QUEUED
        links = [shard.mesh.links[old.identity.incarnation] for shard in (left, new)]
        await town.end(old)
        await asyncio.gather(*[link.closed for link in links])
        town.announce()
        assert await soon(left.router.send(before.id, 1, b"x")) is Outcome.GONE
        assert await soon(new.router.send(before.id, 1, b"x")) is Outcome.GONE

    run(loop, story)


def test_whoever_listens_must_be_the_process_that_was_named(loop: str) -> None:
    """A generation's path is used again; messages must not go to whoever is there."""

    async def story(town: Town) -> None:
        left, right = await town.found(0), await town.found(1)
        there = right.connect()
        row, generation, pid = right.peer
        left.mesh.set_peers([(row, generation, pid + 1)])
        waiting = asyncio.ensure_future(soon(left.router.send(there.id, 1, b"x")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left.mesh.set_peers([(row, generation, pid)])
        assert await waiting is Outcome.UNREACHABLE
        assert await soon(left.router.send(there.id, 1, b"y")) is Outcome.QUEUED
        assert there.got == [(1, b"y")]

    run(loop, story)


def test_peer_that_dials_again_replaces_its_older_link(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(town: Town) -> None:
        left = await town.found(0)
        older, newer = Stranger(left, town), Stranger(left, town)
        await older.say(hello() + encode(m.START, 1))
        await newer.say(hello() + encode(m.START, 1))
        assert await older.is_dropped()
        assert "the peer dialed again" in links(caplog)[0]
        newer.writer.close()

    run(loop, story)


def test_slow_peer_is_bounded_and_told_when_ready(loop: str) -> None:
    mark = 1 << 20

    async def story(town: Town) -> None:
        deaf = Deaf(town, 2)
        left = await town.found(0, link_high_mark=mark)
        left.mesh.set_peers([(2, 0, PID)])
        there = ids.pack(0, 1, 0, 1)
        await deaf.accept()
        sent = 0
        while left.router.send(there, 2, bytes(1000)).outcome is None:
            sent += 1
            if not sent % 10:
                await asyncio.sleep(0)
        link = left.mesh.links[incarnation(0, 1, 0)]
        assert mark - 2000 < link.queued <= mark
        assert left.router.broadcast(2, b"x" * 1000).outcome is Outcome.FULL
        link.answer(encode(m.READY_TO_SEND, 1))  # answers still pass
        left.mesh._tick()
        assert left.stats[LINK_BYTES] == link.queued
        await deaf.read(m.READY_TO_SEND)
        await left.sink.told.until(lambda: bool(left.sink.ready))
        assert left.sink.ready == [there]
        assert [message[0] for message in deaf.got].count(m.DELIVER) == sent
        left.mesh._tick()
        assert left.stats[LINK_BYTES] == 0
        deaf.close()

    run(loop, story)


def test_silent_peer_leaves_waits_in_doubt(
    loop: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)

    async def story(town: Town) -> None:
        deaf = Deaf(town, 2)
        left = await town.found(0, patience=0.02)
        left.mesh.set_peers([(2, 0, PID)])
        await deaf.accept()
        send = left.router.send(ids.pack(0, 1, 0, 1), 2, b"x")
        assert await soon(send) is Outcome.UNREACHABLE
        assert "does not answer: 1 sends in doubt" in links(caplog)[0]
        assert incarnation(0, 1, 0) in left.mesh.links  # slow is not dead
        deaf.close()

    run(loop, story)


def test_close_does_not_wait_for_a_deaf_peer(loop: str) -> None:
    async def story(town: Town) -> None:
        deaf = Deaf(town, 2)
        left = await town.found(0)
        left.mesh.set_peers([(2, 0, PID)])
        await deaf.accept()
        left.router.send(ids.pack(0, 1, 0, 1), 2, bytes(4 << 20))
        await asyncio.sleep(0)
        town.shards.remove(left)
        await left.mesh.close(0.01)
        left.mesh.set_peers([(2, 0, PID)])
        assert left.mesh.links == {}
        deaf.close()

    run(loop, story)


def test_close_delivers_what_was_sent_and_leaves_nothing_behind(loop: str) -> None:
    async def story(town: Town) -> None:
        left, right = await town.meet(2)
        there = right.connect()
        await soon(left.router.send(there.id, 2, b"first"))
        left.router.send(there.id, 2, bytes(4 << 20))
        path = f"{town.directory}/shard-0.sock"
        assert os.stat(path)
        await town.end(left)
        await there.wait_for(2)
        with pytest.raises(FileNotFoundError):
            os.stat(path)

    run(loop, story)


def test_hello_to_a_shard_that_ends_is_refused(loop: str) -> None:
    async def story(town: Town) -> None:
        left = await town.found(0)
        stranger = Stranger(left, town)
        await stranger.say(b"")
        left.mesh._is_closing = True
        stranger.writer.write(hello())
        assert await stranger.is_dropped()
        assert left.mesh.links == {}

    run(loop, story)


def test_member_without_connections(loop: str) -> None:
    async def story(town: Town) -> None:
        left, admin = await town.found(0), await town.found(ADMIN_SLOT)
        town.announce()
        here = left.connect()
        assert await soon(admin.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        left.sink.answers[here.id, "host"] = b"1"
        assert await admin.router.query(here.id, "host") == b"1"
        assert admin.router.send(ids.pack(0, 9, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE

    run(loop, story)


def test_mesh_that_was_never_started_closes(loop: str) -> None:
    """A shard without peers, in the calling process, has one all the same."""

    async def story(town: Town) -> None:
        shard = Shard("", 0)
        here = shard.connect()
        shard.router.broadcast(1, b"x")
        assert shard.router.send(ids.pack(0, 1, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE
        await shard.mesh.close()
        assert here.got == [(1, b"x")]

    run(loop, story)


def test_own_row_among_the_peers_is_passed_over(loop: str) -> None:
    async def story(town: Town) -> None:
        (left,) = await town.meet(1)
        assert left.mesh.links == {}

    run(loop, story)


def test_socket_left_behind_by_a_dead_process_is_replaced(loop: str) -> None:
    async def story(town: Town) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{town.directory}/shard-0.sock")
        left, right = await town.meet(2)
        here = left.connect()
        assert await soon(right.router.send(here.id, 1, b"x")) is Outcome.QUEUED

    run(loop, story)


def test_start_refuses_a_directory_others_may_write(loop: str) -> None:
    async def story(town: Town) -> None:
        os.chmod(town.directory, 0o750)
        with pytest.raises(StartError, match="mode 0700"):
            await Shard(town.directory, 0).mesh.start()

    run(loop, story)


def test_start_names_what_the_system_says(loop: str) -> None:
    async def story(town: Town) -> None:
        with pytest.raises(StartError, match="No such file"):
            await Shard(town.directory + "/none", 0).mesh.start()
        os.mkdir(f"{town.directory}/shard-0.sock")
        with pytest.raises(StartError, match="cannot listen for other shards"):
            await Shard(town.directory, 0).mesh.start()

    run(loop, story)


def test_bind_that_fails_leaves_no_socket_open(loop: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        unix.listen("/nonexistent/shard-0.sock")
