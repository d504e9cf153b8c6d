"""handoff: one exclusive socket, and an acceptor that knows which shards are ready."""

import socket

import pytest

from shardws import stats
from shardws.errors import StartError
from shardws.net import sockets
from shardws.net.sockets import Address
from shardws.shard.connection_source import HandoffSocket
from shardws_supervisor.listening import acceptor, modes
from shardws_supervisor.listening.activation import PassedSocket
from shardws_supervisor.listening.handoff import Handoff
from tests.unit.supervisor.over_exec import over_exec

SEQPACKET = socket.SOCK_SEQPACKET
LOOPBACK = Address(socket.AF_INET, "127.0.0.1", 0)


def handoff(address: Address, passed: socket.socket | None = None) -> Handoff:
    return Handoff(address, passed, stats.Stats(1), list)


def test_a_socket_that_was_passed_needs_no_lock() -> None:
    """Who passed it owns the port, and gives it to one server after the other."""
    with socket.create_server(("127.0.0.1", 0)) as sock, sock.dup() as passed:
        one = handoff(LOOPBACK, passed)
        another = handoff(LOOPBACK, sock.dup())
        assert one.fds_to_close(0) == [passed]
        another.close()


def test_one_listener_is_exclusive() -> None:
    one = handoff(LOOPBACK)
    assert one.address.port > 0
    assert [sock.family for sock in one.fds_to_close(0)] == [socket.AF_UNIX, socket.AF_INET]
    one.add_slot(0)
    one.remove_slot(0)
    assert not one.are_listening()
    one.sock.listen()
    assert one.are_listening()
    with pytest.raises(StartError, match="in use"):
        sockets.bind(one.address, is_shared=True)
    one.close()


def test_it_needs_the_acceptor_and_is_down_without_it() -> None:
    """The server said that it was ready while nobody could connect."""
    one = handoff(LOOPBACK)
    (child,) = one.auxiliaries
    assert child.name == "acceptor"
    seen = []
    for child.pid in (0, 88, 0):
        seen.append(one.is_accepting)
    assert seen == [False, True, False]
    one.close()


def test_the_acceptor_keeps_the_listening_socket_and_nothing_else() -> None:
    descriptors: list[socket.socket] = []
    one = Handoff(LOOPBACK, None, stats.Stats(1), lambda: list(descriptors))
    with socket.socket() as other:
        descriptors += [one.sock, other]
        (child,) = one.auxiliaries
        assert child._fds_to_close() == [other]
    one.close()


def test_a_shard_that_leaves_sees_the_end_of_its_socket() -> None:
    one = handoff(LOOPBACK)
    with one.source(0, 1) as source:
        assert isinstance(source, HandoffSocket)
        assert source.port == one.address.port
        theirs = source.sock.dup()
    assert source.sock.fileno() == -1, "our copy of its end is closed after the fork"
    one.shard_ready(1)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    one.shard_leaves(1)
    assert theirs.recv(1) == b""
    theirs.close()
    one.close()


def test_the_next_acceptor_is_told_every_ready_shard() -> None:
    one = handoff(LOOPBACK)
    (child,) = one.auxiliaries
    ends = []
    for row in (0, 1):
        with one.source(row, row) as source:
            assert isinstance(source, HandoffSocket)
            ends.append(source.sock.dup())
        one.shard_ready(row)
    one.shard_leaves(0)
    child._prepare()
    orders = child._theirs.dup()  # type: ignore[attr-defined]  # an AcceptorProcess
    child.pid = -1  # something that counts as running
    child._forked()
    child.pid = 0
    data, descriptors, _, _ = socket.recv_fds(orders, 16, 2)
    assert acceptor.ORDER.unpack(data) == (acceptor.ADD, 1)
    socket.socket(fileno=descriptors[0]).close()
    orders.setblocking(False)
    with pytest.raises(BlockingIOError):
        orders.recv(16)
    for sock in (*ends, orders):
        sock.close()
    one.close()


def test_the_links_of_the_acceptor_are_kept_over_an_exec() -> None:
    """The next acceptor gets what the shards' ends are joined to."""
    one = handoff(LOOPBACK)
    with one.source(0, 1) as source:
        assert isinstance(source, HandoffSocket)
        shard = source.sock.dup()
    one.shard_ready(1)
    kept = over_exec(one.keep())
    one.close()
    again = modes.adopted(kept, stats.Stats(1), list, 0.0)
    assert again.address == one.address
    assert kept.acceptor is not None
    assert kept.acceptor.ready == [1]
    (end,) = (sock for sock in again.fds_to_close() if getattr(sock, "type", 0) == SEQPACKET)
    assert isinstance(end, socket.socket)
    end.send(b"x")
    assert shard.recv(1) == b"x"
    again.close()
    shard.close()


def test_a_passed_socket_is_kept_over_an_exec() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        one = PassedSocket(sock.dup())
        again = modes.adopted(over_exec(one.keep()), stats.Stats(1), list, 0.0)
        assert again.address == one.address
        assert again.are_listening()
        one.close()
        again.close()
