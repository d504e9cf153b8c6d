"""The mesh on real Unix sockets: peers that come, go, change, break, lag and lie."""

import asyncio
import os
import socket
from typing import Any

import pytest

from shardws import ids
from shardws.errors import StartError
from shardws.outcomes import Outcome
from shardws.routing import mesh as module
from shardws.routing import unix
from shardws.routing.identity import ADMIN_SLOT, incarnation
from shardws.stats import LINK_BYTES
from shardws.wire import messages as m
from shardws.wire.codec import Decoder, encode
from tests.unit.routing.harness import (
    LOOPS,
    NONCE,
    PID,
    Shard,
    Stranger,
    Town,
    hello,
    links,
    run,
    soon,
)

pytestmark = pytest.mark.parametrize("loop", LOOPS)


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
        (encode(m.HELLO, 99, 0, 1, 0, PID, NONCE), "speaks wire version 99"),
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
        right.mesh.links[left.identity.incarnation].reply(encode(m.SYNC, 9))
        assert await soon(left.router.send(there.id, 1, b"x")) is not None
        assert await soon(third.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        assert any("the peer counts 9 messages" in line for line in links(caplog))
        assert await soon(right.router.send(here.id, 1, b"again")) is Outcome.QUEUED

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
        link.reply(encode(m.READY_TO_SEND, 1))  # replies still pass
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
        left.sink.replies[here.id, "host"] = b"1"
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
            await Shard(town.directory, 0).start()

    run(loop, story)


def test_start_names_what_the_system_says(loop: str) -> None:
    async def story(town: Town) -> None:
        with pytest.raises(StartError, match="No such file"):
            await Shard(town.directory + "/none", 0).start()
        os.mkdir(f"{town.directory}/shard-0.sock")
        with pytest.raises(StartError, match="cannot listen for other shards"):
            await Shard(town.directory, 0).start()

    run(loop, story)


def test_bind_that_fails_leaves_no_socket_open(loop: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        unix.listen("/nonexistent/shard-0.sock")
