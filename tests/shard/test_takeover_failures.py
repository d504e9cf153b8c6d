"""Takeovers that fail in the middle: what has not moved is not lost, and nothing moves twice."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from shardws import ids
from shardws.errors import RecordError
from shardws.net.connection.resumed import Cause
from shardws.routing import unix
from shardws.takeover import giving
from shardws.takeover.path import takeover_path
from shardws.takeover.taking import TakingChannel
from shardws.wire import record, takeover
from shardws.wire.record import Record
from shardws.wire.takeover import Greeting, Verdict
from tests.shard.moving_fixture import Pair, Side, echoing, pair
from tests.shard.server_fixture import DEADLINE_S, run, until
from tests.unit.protocol.client_frames import frame

Request = pytest.MonkeyPatch


async def assert_serves(side: Side, sock: socket.socket, one: int) -> None:
    """The connection is this side's, in its group, and echoes what was sent meanwhile, too."""
    loop = asyncio.get_running_loop()
    assert side.connection(one).groups == {"room"}
    await loop.sock_sendall(sock, frame(0x81, b"2"))
    data = b""
    while len(data) < 6:
        data += await asyncio.wait_for(loop.sock_recv(sock, 100), DEADLINE_S)
    assert data == b"\x81\x011\x81\x012"
    side.server.publish("room", b"g")
    assert await asyncio.wait_for(loop.sock_recv(sock, 100), DEADLINE_S) == b"\x82\x01g"


async def fail_to_move(two: Pair, reason: str) -> None:
    """A move that fails for `reason`, while the client sends: all goes on where it was."""
    loop = asyncio.get_running_loop()
    sock, one = await two.raw_client()
    two.old.server.join(one, "room")
    moving = asyncio.create_task(two.old.move_to(two.new, 2.0))
    await asyncio.sleep(0)
    await loop.sock_sendall(sock, frame(0x81, b"1"))
    assert await moving == (0, {reason: 1})
    await assert_serves(two.old, sock, one)
    assert two.old.counts()["open"] == 1
    assert two.new.counts()["open"] == 0
    assert (two.old.counts()["moved"], two.new.counts()["resumed"]) == (0, 0)
    assert two.new.recorder.events == []
    sock.close()


def test_a_record_of_another_version_stays(tmp_path: Path, monkeypatch: Request) -> None:
    def decode(data: bytes) -> Record:
        raise RecordError("record version 2, this is version 1")

    monkeypatch.setattr(record, "decode", decode)

    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            await fail_to_move(two, "unreadable")

    run(main())


def test_an_id_that_is_taken_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two:

            def enter(connection: object, home: int) -> None:
                raise ValueError("the id is taken")

            two.new.routes.enter = enter  # type: ignore[method-assign]
            await fail_to_move(two, "refused")

    run(main())


def test_what_there_is_no_room_for_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            two.new.shard.admission._descriptors.room = 0
            await fail_to_move(two, "full")

    run(main())


def test_without_a_taker_everything_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            two.new.taking.close()
            await fail_to_move(two, "unreachable")

    run(main())


def test_another_process_at_its_place_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            sock, one = await two.raw_client()
            two.old.server.join(one, "room")
            stranger = two.new.successor._replace(pid=1)
            made = two.old.giving(two.new)
            made._successor = stranger
            assert await made.run(1.0) == (0, {"unreachable": 1})
            await asyncio.get_running_loop().sock_sendall(sock, frame(0x81, b"1"))
            await assert_serves(two.old, sock, one)
            sock.close()

    run(main())


def test_a_taker_that_dies_before_it_claims_takes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            two.new.taking.close()
            path = takeover_path(two.new.directory, two.new.identity.row)
            listening = unix.listen(path)

            async def die() -> None:
                peer, _ = await asyncio.get_running_loop().sock_accept(listening)
                await asyncio.get_running_loop().sock_recv(peer, 10)
                peer.close()

            dying = asyncio.create_task(die())
            await fail_to_move(two, "unanswered")
            await dying
            listening.close()

    run(main())


def test_a_taker_that_dies_after_it_claimed_has_done_nothing(
    tmp_path: Path, monkeypatch: Request
) -> None:
    def take(channel: TakingChannel, *_: object) -> None:
        channel.close()

    monkeypatch.setattr(TakingChannel, "_take", take)

    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            await fail_to_move(two, "unanswered")

    run(main())


def test_a_taker_that_is_late_takes_nothing(tmp_path: Path, monkeypatch: Request) -> None:
    """The giver has taken the batch back when the taker comes to read it."""
    monkeypatch.setattr(giving, "ANSWER_S", 0.1)
    late: list[TakingChannel] = []
    read = TakingChannel.read
    monkeypatch.setattr(TakingChannel, "read", lambda channel, *most: late.append(channel))

    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            await fail_to_move(two, "unanswered")
            monkeypatch.setattr(TakingChannel, "read", read)
            late[0].read()
            await asyncio.sleep(0)
            assert len(two.new.shard.registry) == 0
            assert two.new.recorder.events == []

    run(main())


def test_a_move_that_is_cancelled_loses_nothing(tmp_path: Path, monkeypatch: Request) -> None:
    monkeypatch.setattr(TakingChannel, "read", lambda channel, *most: None)

    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            sock, one = await two.raw_client()
            two.old.server.join(one, "room")
            moving = asyncio.create_task(two.old.move_to(two.new))
            await until(lambda: two.old.shard.registry.get(one) is None)
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            await asyncio.get_running_loop().sock_sendall(sock, frame(0x81, b"1"))
            await assert_serves(two.old, sock, one)
            sock.close()

    run(main())


# -- a giver by hand ------------------------------------------------------------------------------


class Giver:
    """A process that gives, step by step, and the clients of the connections that it has."""

    def __init__(self, side: Side) -> None:
        self.sock = unix.dial(takeover_path(side.directory, side.identity.row), os.getpid())
        self.claim = os.eventfd(1, os.EFD_NONBLOCK)
        self.clients: list[socket.socket] = []
        self.given: list[socket.socket] = []

    def greet(self, nonce: str = "00ff", cause: str = Cause.SCALE, generation: int = 0) -> None:
        greeting = Greeting(0, 0, generation, os.getpid(), cause, nonce)
        socket.send_fds(self.sock, [takeover.greet(greeting)], [self.claim])

    def connect(self) -> int:
        """Make a TCP connection; return the descriptor of the server's end."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.clients.append(socket.create_connection(listening.getsockname()))
            self.given.append(listening.accept()[0])
        self.clients[-1].setblocking(False)
        return self.given[-1].fileno()

    def batch(self, records: list[bytes], descriptors: list[int]) -> None:
        socket.send_fds(self.sock, [takeover.begin_batch(len(records))], descriptors)
        for data in records:
            self.sock.sendall(takeover.frame(takeover.RECORD, data))

    async def verdicts(self, count: int) -> list[Verdict]:
        loop = asyncio.get_running_loop()
        data = await asyncio.wait_for(loop.sock_recv(self.sock, 1000), DEADLINE_S)
        ((_, body),) = takeover.Decoder(takeover.VERDICTS).feed(data)
        return takeover.read_verdicts(body, count)

    def die(self) -> None:
        self.sock.close()
        os.close(self.claim)
        for sock in self.given:
            sock.close()

    def close(self) -> None:
        for sock in self.clients:
            sock.close()


def minimal(serial: int) -> bytes:
    return record.encode(Record(ids.pack(0, 0, 0, serial), unread=frame(0x81, b"unread")))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_batch_of_a_giver_that_died_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two:
            giver = Giver(two.new)
            giver.greet()
            giver.batch([minimal(1), minimal(2)], [giver.connect(), giver.connect()])
            giver.die()
            await two.new.recorder.wait_for("resumed", 2)
            loop = asyncio.get_running_loop()
            for client in giver.clients:
                got = await asyncio.wait_for(loop.sock_recv(client, 100), DEADLINE_S)
                assert got == b"\x81\x06unread"
            giver.close()

    run(main())


def test_what_a_giver_died_in_the_middle_of_is_dropped(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            before = descriptors()
            giver = Giver(two.new)
            giver.greet()
            socket.send_fds(giver.sock, [takeover.begin_batch(2)], [giver.connect()])
            giver.sock.sendall(takeover.frame(takeover.RECORD, minimal(1)))
            giver.die()
            loop = asyncio.get_running_loop()
            got = await asyncio.wait_for(loop.sock_recv(giver.clients[0], 100), DEADLINE_S)
            assert got == b""  # nobody has it any more
            giver.close()
            assert descriptors() == before
            assert two.new.recorder.events == []

    run(main())


def test_lost_connections_are_judged_when_all_that_was_given_is_taken(tmp_path: Path) -> None:
    """The supervisor names the connections of a dead process; some were given before it died."""

    async def main() -> None:
        async with pair(tmp_path) as two:
            giver = Giver(two.new)
            giver.greet()
            giver.batch([minimal(1)], [giver.connect()])
            giver.die()
            two.new.shard.report_lost([ids.pack(0, 0, 0, 1), ids.pack(0, 0, 0, 2)])
            assert two.new.recorder.count("disconnected") == 1  # that of the second
            await two.new.recorder.wait_for("resumed")
            giver.close()

    run(main())


def test_a_descriptor_that_did_not_arrive_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            giver = Giver(two.new)
            giver.greet()
            giver.batch([minimal(1), minimal(2)], [giver.connect()])
            assert await giver.verdicts(2) == [Verdict.TAKEN, Verdict.DESCRIPTOR]
            giver.die()
            giver.close()

    run(main())


def test_verdicts_are_for_each_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            giver = Giver(two.new)
            giver.greet()
            context = record.encode(Record(ids.pack(0, 0, 0, 9), deflate="permessage-deflate"))
            batch = [b"\x09\x00noise", minimal(1), minimal(1), context, minimal(2)]
            giver.batch(batch, [giver.connect() for _ in batch])
            bad, good = Verdict.UNREADABLE, Verdict.TAKEN
            assert await giver.verdicts(5) == [bad, good, Verdict.REFUSED, bad, good]
            assert len(two.new.shard.registry) == 2
            assert two.new.counts()["open"] == 2
            giver.die()
            giver.close()

    run(main())


def test_a_batch_that_was_taken_back_is_nobodys_here(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            before = descriptors()
            giver = Giver(two.new)
            giver.greet()
            os.eventfd_read(giver.claim)
            giver.batch([minimal(1)], [giver.connect()])
            giver.die()
            loop = asyncio.get_running_loop()
            assert await asyncio.wait_for(loop.sock_recv(giver.clients[0], 9), DEADLINE_S) == b""
            giver.close()
            assert descriptors() == before
            assert len(two.new.shard.registry) == 0

    run(main())


FAULTS: dict[str, Any] = {
    "another server": lambda giver: giver.greet(nonce="ee"),
    "this very process": lambda giver: giver.greet(generation=1),
    "no cause": lambda giver: giver.greet(cause="whim"),
    "no greeting": lambda giver: giver.sock.sendall(takeover.begin_batch(1)),
    "a greeting without a descriptor": lambda giver: giver.sock.sendall(
        takeover.greet(Greeting(0, 0, 0, os.getpid(), Cause.RELOAD, "00ff"))
    ),
    "two greetings": lambda giver: (giver.greet(), giver.greet()),
    "a record without a batch": lambda giver: (
        giver.greet(),
        giver.sock.sendall(takeover.frame(takeover.RECORD, minimal(1))),
    ),
    "too many records": lambda giver: (
        giver.greet(),
        giver.sock.sendall(takeover.frame(takeover.BATCH, (251).to_bytes(2, "little"))),
    ),
    "noise": lambda giver: giver.sock.sendall(b"\xff" * 100),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_giver_that_says_what_none_would_say_is_turned_away(fault: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as two:
            before = descriptors()
            giver = Giver(two.new)
            FAULTS[fault](giver)
            loop = asyncio.get_running_loop()
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(loop.sock_recv(giver.sock, 9), DEADLINE_S) == b""
            giver.die()
            assert descriptors() == before

    run(main())
