"""The mesh on real Unix sockets: peers that come, go, change, break, lag and lie."""

import asyncio
import os
import socket
from typing import Any

import pytest

from shardws import ids
from shardws.errors import ShardwsError, StartError
from shardws.outcomes import QUEUED, Outcome
from shardws.routing import dialer, unix
from shardws.routing import mesh as module
from shardws.routing.identity import ADMIN_SLOT, incarnation
from shardws.stats import LINK_BYTES, LOST_FANOUTS
from shardws.wire import messages as m
from shardws.wire.codec import Decoder, encode
from shardws.wire.messages import Peer
from tests.unit.routing.shard_cluster import (
    LOOPS,
    NONCE,
    PID,
    Cluster,
    RawPeer,
    RoutingShard,
    hello,
    link_log,
    outcome_of,
    run_scenario,
    turn_until,
)

pytestmark = pytest.mark.parametrize("loop", LOOPS)


class Deaf:
    """A peer that accepts and does not read until it is told to."""

    def __init__(self, cluster: Cluster, row: int) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{cluster.directory}/shard-{row}.sock")
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
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.send(there.id, 1, b"x"))
        raw_peer = RawPeer(left, cluster)
        await raw_peer.send(data)
        assert await raw_peer.is_disconnected()
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        assert len(link_log(caplog)) == 1
        assert reason in link_log(caplog)[0]
        assert left.sink.lost == []

    run_scenario(loop, scenario)


def test_garbage_behind_a_good_opening_closes_that_link_alone(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right, third = await cluster.start_shards(3)
        here, there = left.connect(), right.connect()
        await outcome_of(left.router.send(there.id, 1, b"x"))
        await outcome_of(third.router.send(here.id, 1, b"x"))
        # What is out of step is found by SYNC: 9 messages are claimed that never came.
        right.mesh.links[left.identity.incarnation].reply(encode(m.SYNC, 9))
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is not None
        assert await outcome_of(third.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        assert any("the peer counts 9 messages" in line for line in link_log(caplog))
        assert await outcome_of(right.router.send(here.id, 1, b"again")) is Outcome.QUEUED

    run_scenario(loop, scenario)


def test_slow_peer_is_bounded_and_told_when_ready(loop: str) -> None:
    mark = 1 << 20

    async def scenario(cluster: Cluster) -> None:
        deaf = Deaf(cluster, 2)
        left = await cluster.start_shard(0, link_high_mark=mark)
        left.mesh.set_peers([Peer(2, 0, PID)])
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

    run_scenario(loop, scenario)


def test_silent_peer_leaves_waits_in_doubt(
    loop: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)

    async def scenario(cluster: Cluster) -> None:
        deaf = Deaf(cluster, 2)
        left = await cluster.start_shard(0, patience=0.02)
        left.mesh.set_peers([Peer(2, 0, PID)])
        await deaf.accept()
        send = left.router.send(ids.pack(0, 1, 0, 1), 2, b"x")
        assert await outcome_of(send) is Outcome.UNREACHABLE
        assert "does not reply: 1 sends in doubt" in link_log(caplog)[0]
        assert incarnation(0, 1, 0) in left.mesh.links  # slow is not dead
        deaf.close()

    run_scenario(loop, scenario)


def test_close_does_not_wait_for_a_deaf_peer(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        deaf = Deaf(cluster, 2)
        left = await cluster.start_shard(0)
        left.mesh.set_peers([Peer(2, 0, PID)])
        await deaf.accept()
        left.router.send(ids.pack(0, 1, 0, 1), 2, bytes(4 << 20))
        await asyncio.sleep(0)
        cluster.shards.remove(left)
        await left.mesh.close(0.01)
        left.mesh.set_peers([Peer(2, 0, PID)])
        assert left.mesh.links == {}
        deaf.close()

    run_scenario(loop, scenario)


def test_close_delivers_what_was_sent_and_leaves_nothing_behind(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        await outcome_of(left.router.send(there.id, 2, b"first"))
        left.router.send(there.id, 2, bytes(4 << 20))
        path = f"{cluster.directory}/shard-0.sock"
        assert os.stat(path)
        await cluster.end(left)
        await there.wait_for(2)
        with pytest.raises(FileNotFoundError):
            os.stat(path)

    run_scenario(loop, scenario)


def test_hello_to_a_shard_that_ends_is_refused(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        raw_peer = RawPeer(left, cluster)
        await raw_peer.send(b"")
        left.mesh._is_closing = True
        raw_peer.writer.write(hello())
        assert await raw_peer.is_disconnected()
        assert left.mesh.links == {}

    run_scenario(loop, scenario)


def test_member_without_connections(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left, admin = await cluster.start_shard(0), await cluster.start_shard(ADMIN_SLOT)
        cluster.announce()
        here = left.connect()
        assert await outcome_of(admin.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        left.sink.replies[here.id, "host"] = b"1"
        assert await admin.router.query(here.id, "host") == b"1"
        assert admin.router.send(ids.pack(0, 9, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE

    run_scenario(loop, scenario)


def test_mesh_that_was_never_started_closes(loop: str) -> None:
    """A shard without peers, in the calling process, has one all the same."""

    async def scenario(cluster: Cluster) -> None:
        shard = RoutingShard("", 0)
        here = shard.connect()
        shard.router.broadcast(1, b"x")
        assert shard.router.send(ids.pack(0, 1, 0, 1), 1, b"").outcome is Outcome.UNREACHABLE
        await shard.mesh.close()
        assert here.got == [(1, b"x")]

    run_scenario(loop, scenario)


def test_own_row_among_the_peers_is_passed_over(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        (left,) = await cluster.start_shards(1)
        assert left.mesh.links == {}

    run_scenario(loop, scenario)


def test_socket_left_behind_by_a_dead_process_is_replaced(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{cluster.directory}/shard-0.sock")
        left, right = await cluster.start_shards(2)
        here = left.connect()
        assert await outcome_of(right.router.send(here.id, 1, b"x")) is Outcome.QUEUED

    run_scenario(loop, scenario)


@pytest.mark.parametrize("is_directory_gone", [False, True])
def test_a_shard_whose_socket_was_removed_listens_anew(
    loop: str,
    is_directory_gone: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cleaner of /tmp left it deaf to every shard that came later."""
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        here, there = left.connect(), right.connect()
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        for name in os.listdir(cluster.directory):
            os.unlink(f"{cluster.directory}/{name}")
        if is_directory_gone:
            os.rmdir(cluster.directory)
            await turn_until(lambda: "cannot find this one" in " ".join(link_log(caplog)))
            os.mkdir(cluster.directory, 0o700)
        third = await cluster.start_shard(2)
        cluster.announce()
        assert await outcome_of(third.router.send(here.id, 1, b"x")) is Outcome.QUEUED
        assert await outcome_of(third.router.broadcast(1, b"x")) is Outcome.QUEUED
        assert await outcome_of(left.router.send(there.id, 1, b"x")) is Outcome.QUEUED
        await cluster.end(third)
        await cluster.end(left)
        await cluster.end(right)
        assert os.listdir(cluster.directory) == []

    run_scenario(loop, scenario)


def test_a_socket_in_place_of_ours_is_left_to_its_owner(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two servers in one directory would replace each other's sockets for ever."""

    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        path = f"{cluster.directory}/shard-0.sock"
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            for _ in range(2):
                left.mesh._socket.watch()
            await cluster.end(left)
            assert os.stat(path)
        assert [line.partition(": ")[2] for line in link_log(caplog)] == ["another socket is there"]

    run_scenario(loop, scenario)


def test_what_waits_for_a_peer_that_cannot_be_dialed_is_given_up(
    loop: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broadcast to it stayed QUEUED, and the queue was never told of."""
    monkeypatch.setattr(dialer, "PATIENCE_SECONDS", 0.05)

    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        left.mesh.set_peers([Peer(2, 0, PID)])  # nobody listens there
        there = ids.pack(0, 1, 0, 1)
        sent, spread = left.router.send(there, 1, b"x"), left.router.broadcast(1, b"x")
        left.router.send(there, 1, b"nobody waits for it")
        assert spread.outcome is None
        waiting = asyncio.ensure_future(outcome_of(sent))
        assert await outcome_of(spread) is Outcome.UNREACHABLE
        assert await waiting is Outcome.UNREACHABLE
        assert left.sink.lost == [1]
        assert left.router.send(there, 1, b"x").outcome is Outcome.UNREACHABLE
        assert left.router.broadcast(1, b"x").outcome is Outcome.UNREACHABLE
        assert left.router.publish("room", 1, b"x").outcome is Outcome.UNREACHABLE
        with pytest.raises(ShardwsError) as caught:
            await left.router.query(there, "host")
        assert caught.value.code == 10065
        right = await cluster.start_shard(1)
        link = left.mesh.links[right.identity.incarnation]
        await turn_until(lambda: link.is_up)
        here = right.connect()
        assert left.router.broadcast(1, b"x") is QUEUED
        assert await outcome_of(left.router.send(here.id, 1, b"y")) is Outcome.QUEUED
        assert here.got == [(1, b"x"), (1, b"y")]
        assert [line for line in caplog.messages if "retrying" in line]

    run_scenario(loop, scenario)


def test_a_message_to_many_waits_for_no_peer_that_has_ended(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        left = await cluster.start_shard(0)
        left.mesh.set_peers([Peer(2, 0, PID), Peer(4, 0, PID)])
        spread = left.router.broadcast(1, b"x")
        left.mesh.set_peers([Peer(2, 0, PID)])
        assert spread.outcome is None
        left.mesh.set_peers([])
        assert await outcome_of(spread) is Outcome.QUEUED

    run_scenario(loop, scenario)


def test_the_tail_of_a_burst_is_confirmed_without_a_tick(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash of the receiver what had arrived in the last second was UNREACHABLE."""
    monkeypatch.setattr(module, "TICK_SECONDS", 3600)

    async def scenario(cluster: Cluster) -> None:
        left, right = await cluster.start_shards(2)
        there = right.connect()
        failed: list[Outcome] = []
        for number in range(10):
            left.router.send(there.id, 2, b"%d" % number).if_failed(failed.append)
        ledger = left.mesh.links[right.identity.incarnation].ledger
        await turn_until(lambda: ledger.confirmed == 10)
        right.mesh.inbounds[left.identity.incarnation].refuse("killed")
        assert await outcome_of(left.router.send(there.id, 1, b"behind it")) is not None
        assert (failed, left.sink.lost) == ([], [])

    run_scenario(loop, scenario)


def test_start_refuses_a_directory_others_may_write(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        os.chmod(cluster.directory, 0o750)
        with pytest.raises(StartError, match="mode 0700"):
            await RoutingShard(cluster.directory, 0).start()

    run_scenario(loop, scenario)


def test_start_names_what_the_system_says(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        with pytest.raises(StartError, match="No such file"):
            await RoutingShard(cluster.directory + "/none", 0).start()
        os.mkdir(f"{cluster.directory}/shard-0.sock")
        with pytest.raises(StartError, match="cannot listen for other shards"):
            await RoutingShard(cluster.directory, 0).start()

    run_scenario(loop, scenario)


def test_bind_that_fails_leaves_no_socket_open(loop: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        unix.listen("/nonexistent/shard-0.sock")


def test_what_was_sent_at_the_very_end_is_confirmed_before_the_links_close(loop: str) -> None:
    """Its outcome was UNREACHABLE, though it had arrived."""

    async def scenario(cluster: Cluster) -> None:
        sender, owner = await cluster.start_shards(2)
        connection = owner.connect()
        await outcome_of(sender.router.send(connection.id, 1, b"first"))
        last = sender.router.send(connection.id, 1, b"last")
        before = last.outcome
        await sender.mesh.confirm()
        await cluster.end(sender)
        assert (before, last.outcome) == (None, Outcome.QUEUED)
        assert sender.sink.lost == []

    run_scenario(loop, scenario)


def test_what_a_peer_that_ends_in_order_did_not_confirm_to_many_is_no_loss(loop: str) -> None:
    """It has closed its connections; the supervisor still names it when its links close."""

    async def scenario(cluster: Cluster) -> None:
        sender, leaving = await cluster.start_shards(2)
        leaving.connect()
        await outcome_of(sender.router.send(leaving.id(), 1, b"the links are up"))
        sender.router.broadcast(1, b"to all")
        link = sender.mesh.links[leaving.identity.incarnation]
        await cluster.end(leaving)
        await turn_until(lambda: link.is_down)
        assert sender.stats[LOST_FANOUTS] == 0

    run_scenario(loop, scenario)
