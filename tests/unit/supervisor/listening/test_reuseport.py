"""reuseport: proving that a port is free, and one bound socket per slot."""

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from shardws import stats
from shardws.errors import StartError
from shardws.net import sockets
from shardws.net.sockets import BOTH, IPV6, Address
from shardws_supervisor.listening import modes
from shardws_supervisor.listening.handoff import Handoff
from shardws_supervisor.listening.reuseport import ReusePort
from tests.unit.supervisor.over_exec import over_exec

LOOPBACK = Address(socket.AF_INET, "127.0.0.1", 0)


def added(bound: ReusePort, slot: int) -> socket.socket:
    """Return the socket of a slot, which is taken into use when it is not."""
    bound.add_slot(slot)
    return bound.socket_of(slot)


def handoff(address: Address) -> Handoff:
    return Handoff(address, None, stats.Stats(1), list)


@pytest.fixture
def occupied() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Address(socket.AF_INET, "127.0.0.1", server.getsockname()[1])


def test_a_port_in_use_is_named(occupied: Address) -> None:
    with pytest.raises(StartError) as caught:
        ReusePort(occupied, is_exclusive=True)
    assert caught.value.description == f"cannot listen on {occupied}: the address is in use"
    assert (caught.value.code, caught.value.exit_code) == (10048, 1)


def test_a_port_shared_by_another_server_of_this_user_is_noticed() -> None:
    """SO_REUSEPORT alone would let both in: that is what the exclusive bind is for."""
    first = ReusePort(LOOPBACK, is_exclusive=True)
    added(first, 0).listen()
    with pytest.raises(StartError, match="in use"):
        ReusePort(first.address, is_exclusive=True)
    second = ReusePort(first.address, is_exclusive=False)
    assert added(second, 0).getsockname() == added(first, 0).getsockname()
    first.close()
    second.close()


def test_two_servers_that_start_at_the_same_moment_cannot_both_own_the_port() -> None:
    """Linux lets both bind as long as neither listens, and with SO_REUSEPORT both would serve."""
    first = ReusePort(LOOPBACK, is_exclusive=True)
    first.add_slot(0)  # bound, and its shard does not listen yet
    for _ in range(2):  # the refused one leaves nothing behind
        with pytest.raises(StartError) as caught:
            ReusePort(first.address, is_exclusive=True)
        assert f"cannot listen on {first.address}: the address is in use" in str(caught.value)
        assert caught.value.code == 10048
    with pytest.raises(StartError, match="in use"):
        handoff(first.address)
    first.add_slot(1)  # its own slots share
    first.close()
    ReusePort(first.address, is_exclusive=True).close()


def test_a_port_that_is_asked_for_is_held_before_any_socket_is_bound() -> None:
    """A shared socket that a second server bound meanwhile would be in the first one's way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = sockets.address_of(server)
    first = ReusePort(address, is_exclusive=True)
    with pytest.raises(StartError, match="in use"):
        ReusePort(address, is_exclusive=True)
    first.close()


def test_a_port_in_use_leaves_no_lock_behind(occupied: Address) -> None:
    for make in (partial(ReusePort, is_exclusive=True), handoff):
        with pytest.raises(StartError, match=r"in use \(10048\)$"):
            make(occupied)


def test_servers_that_want_to_share_do() -> None:
    first = ReusePort(LOOPBACK, is_exclusive=False)
    first.add_slot(0)
    second = ReusePort(first.address, is_exclusive=False)
    assert added(second, 0).getsockname() == added(first, 0).getsockname()
    first.close()
    second.close()


def test_the_first_slot_settles_the_port_for_all() -> None:
    bound = ReusePort(LOOPBACK, is_exclusive=True)
    ports = {added(bound, slot).getsockname()[1] for slot in range(3)}
    assert ports == {bound.address.port}
    assert bound.address.port > 0
    assert added(bound, 1) is added(bound, 1)
    lock, *others = bound.fds_to_close(1)
    assert lock.family == socket.AF_UNIX
    assert others == [added(bound, 0), added(bound, 2)]
    bound.close()


def test_they_listen_only_when_the_shards_say_so() -> None:
    bound = ReusePort(LOOPBACK, is_exclusive=True)
    both = [added(bound, slot) for slot in range(2)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(both[0].getsockname(), timeout=5)
    both[0].listen()
    assert not bound.are_listening()
    both[1].listen()
    assert bound.are_listening()
    bound.close()


def test_a_slot_that_is_given_up_gets_no_connections() -> None:
    bound = ReusePort(LOOPBACK, is_exclusive=True)
    kept, given_up = added(bound, 0), added(bound, 1)
    kept.listen()
    given_up.listen()
    bound.remove_slot(1)
    bound.remove_slot(1)
    for _ in range(20):
        socket.create_connection(kept.getsockname(), timeout=5).close()
    accepted = 0
    while accepted < 20:
        kept.accept()[0].close()
        accepted += 1
    bound.close()


def test_ipv6_only_and_dual() -> None:
    for use_ipv6, v6only in ((IPV6, 1), (BOTH, 0)):
        bound = ReusePort(sockets.resolve("", 0, use_ipv6), is_exclusive=True)
        sock = added(bound, 0)
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == v6only
        assert bound.address.is_dual == (use_ipv6 == BOTH)
        bound.close()


def test_a_renewed_socket_takes_nobody_until_it_listens() -> None:
    bound = ReusePort(Address(socket.AF_INET, "127.0.0.1", 0), is_exclusive=True)
    added(bound, 0).listen()
    where = ("127.0.0.1", bound.address.port)
    with socket.create_connection(where, 5) as waiting:
        bound.slot_rests(0)
        with pytest.raises(ConnectionResetError):
            waiting.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, 5)
    bound.slot_rests(7)  # a slot that is not there
    added(bound, 0).listen()
    socket.create_connection(where, 5).close()
    bound.close()


def test_a_socket_that_cannot_be_renewed_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The address has left the host: the other slots must not be harmed."""
    bound = ReusePort(Address(socket.AF_INET, "127.0.0.1", 0), is_exclusive=True)
    added(bound, 0).listen()

    def refuse(address: Address, *, is_shared: bool) -> socket.socket:
        raise StartError("cannot listen: the address is not one of this host")

    monkeypatch.setattr(sockets, "bind", refuse)
    bound.slot_rests(0)
    assert "slot 0 keeps its socket" in caplog.text
    socket.create_connection(("127.0.0.1", bound.address.port), 5).close()
    bound.close()


def test_sockets_and_lock_are_kept_over_an_exec() -> None:
    bound = ReusePort(LOOPBACK, is_exclusive=True)
    added(bound, 0).listen()
    added(bound, 3)
    kept = over_exec(bound.keep())
    bound.close()
    again = modes.adopted(kept, stats.Stats(1), list, 0.0)
    assert isinstance(again, ReusePort)
    assert again.address == bound.address
    assert again.socket_of(0).getsockname() == again.socket_of(3).getsockname()
    assert again.socket_of(0).getblocking() is False
    assert not again.socket_of(0).get_inheritable()
    assert not again.are_listening(), "the one of slot 3 does not"
    with pytest.raises(StartError, match="in use"):
        ReusePort(bound.address, is_exclusive=True)
    added(again, 4)
    again.close()
