"""listeners: resolving, proving that a port is free, and one bound socket per slot."""

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from shardws.errors import StartError
from shardws_supervisor.listening import listeners
from shardws_supervisor.listening.listeners import BOTH, IPV4, IPV6, Address, Listeners, OneListener

LOOPBACK = Address(socket.AF_INET, "127.0.0.1", 0)


@pytest.fixture
def occupied() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Address(socket.AF_INET, "127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "use_ipv6", "shown", "is_dual"),
    [
        ("", IPV4, "0.0.0.0:9", False),
        ("", IPV6, "[::]:9", False),
        ("", BOTH, "[::]:9", True),
        ("127.0.0.1", IPV4, "127.0.0.1:9", False),
        ("127.0.0.1", BOTH, "127.0.0.1:9", False),
        ("::1", IPV6, "[::1]:9", False),
        ("::1", BOTH, "[::1]:9", False),
        ("localhost", IPV4, "127.0.0.1:9", False),
    ],
)
def test_resolve(host: str, use_ipv6: int, shown: str, is_dual: bool) -> None:
    address = listeners.resolve(host, 9, use_ipv6)
    assert (str(address), address.is_dual) == (shown, is_dual)


@pytest.mark.parametrize(
    ("host", "use_ipv6", "words"),
    [("no such host", IPV4, "no name or address"), ("127.0.0.1", IPV6, "no IPv6 name or address")],
)
def test_a_host_that_is_none_is_explained(host: str, use_ipv6: int, words: str) -> None:
    with pytest.raises(StartError, match=words) as caught:
        listeners.resolve(host, 9001, use_ipv6)
    assert caught.value.code == 10049
    assert f"{host}:9001" in caught.value.description


def test_a_port_in_use_is_named(occupied: Address) -> None:
    with pytest.raises(StartError) as caught:
        Listeners(occupied, is_exclusive=True)
    assert caught.value.description == f"cannot listen on {occupied}: the address is in use"
    assert (caught.value.code, caught.value.exit_code) == (10048, 1)


def test_a_port_shared_by_another_server_of_this_user_is_noticed() -> None:
    """SO_REUSEPORT alone would let both in: that is what the exclusive bind is for."""
    first = Listeners(LOOPBACK, is_exclusive=True)
    first.add(0).listen()
    with pytest.raises(StartError, match="in use"):
        Listeners(first.address, is_exclusive=True)
    second = Listeners(first.address, is_exclusive=False)
    assert second.add(0).getsockname() == first.add(0).getsockname()
    first.close()
    second.close()


def test_two_servers_that_start_at_the_same_moment_cannot_both_own_the_port() -> None:
    """Linux lets both bind as long as neither listens, and with SO_REUSEPORT both would serve."""
    first = Listeners(LOOPBACK, is_exclusive=True)
    first.add(0)  # bound, and its shard does not listen yet
    for _ in range(2):  # the refused one leaves nothing behind
        with pytest.raises(StartError) as caught:
            Listeners(first.address, is_exclusive=True)
        assert f"cannot listen on {first.address}: the address is in use" in str(caught.value)
        assert caught.value.code == 10048
    with pytest.raises(StartError, match="in use"):
        OneListener(first.address)
    first.add(1)  # its own slots share
    first.close()
    Listeners(first.address, is_exclusive=True).close()


def test_a_port_that_is_asked_for_is_held_before_any_socket_is_bound() -> None:
    """A shared socket that a second server bound meanwhile would be in the first one's way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = listeners.address_of(server)
    first = Listeners(address, is_exclusive=True)
    with pytest.raises(StartError, match="in use"):
        Listeners(address, is_exclusive=True)
    first.close()


def test_a_port_in_use_leaves_no_lock_behind(occupied: Address) -> None:
    for make in (partial(Listeners, is_exclusive=True), OneListener):
        with pytest.raises(StartError, match=r"in use \(10048\)$"):
            make(occupied)


def test_servers_that_want_to_share_do() -> None:
    first = Listeners(LOOPBACK, is_exclusive=False)
    first.add(0)
    second = Listeners(first.address, is_exclusive=False)
    assert second.add(0).getsockname() == first.add(0).getsockname()
    first.close()
    second.close()


def test_a_socket_that_was_passed_needs_no_lock() -> None:
    """Who passed it owns the port, and gives it to one server after the other."""
    with socket.create_server(("127.0.0.1", 0)) as sock, sock.dup() as passed:
        one = OneListener(LOOPBACK, passed)
        another = OneListener(LOOPBACK, sock.dup())
        assert one.others(0) == [passed]
        another.close()


def test_an_address_of_another_host_is_explained() -> None:
    with pytest.raises(StartError, match="not one of this host") as caught:
        listeners.bind(Address(socket.AF_INET, "192.0.2.1", 9001), is_shared=True)
    assert caught.value.code == 10049


def test_a_port_that_is_taken_between_bind_and_listen_is_named() -> None:
    with listeners.bind(LOOPBACK, is_shared=False) as first:
        address = listeners.address_of(first)
        with listeners.bind(address, is_shared=False) as second:
            second.listen()
            with pytest.raises(StartError) as caught:
                listeners.listen(first, 1)
    assert caught.value.description == f"cannot listen on {address}: the address is in use"
    assert caught.value.code == 10048


def test_a_privileged_port_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(StartError) as caught:
        listeners.bind(Address(socket.AF_INET, "127.0.0.1", 80), is_shared=True)
    assert "permission denied (ports below 1024 need root" in caught.value.description
    assert caught.value.code == 10013
    with pytest.raises(StartError) as caught:
        listeners.bind(Address(socket.AF_INET, "127.0.0.1", 8080), is_shared=True)
    assert caught.value.description.endswith("permission denied")


def test_any_other_reason_is_told_as_the_system_tells_it() -> None:
    with pytest.raises(StartError, match="bind"):
        listeners.bind(Address(socket.AF_INET, "127.0.0.1", 70000), is_shared=True)


def test_the_first_slot_settles_the_port_for_all() -> None:
    bound = Listeners(LOOPBACK, is_exclusive=True)
    ports = {bound.add(slot).getsockname()[1] for slot in range(3)}
    assert ports == {bound.address.port}
    assert bound.address.port > 0
    assert bound.add(1) is bound.add(1)
    lock, *others = bound.others(1)
    assert lock.family == socket.AF_UNIX
    assert others == [bound.add(0), bound.add(2)]
    bound.close()


def test_they_listen_only_when_the_shards_say_so() -> None:
    bound = Listeners(LOOPBACK, is_exclusive=True)
    sockets = [bound.add(slot) for slot in range(2)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(sockets[0].getsockname(), timeout=5)
    sockets[0].listen()
    assert not bound.are_listening()
    sockets[1].listen()
    assert bound.are_listening()
    bound.close()


def test_a_slot_that_is_given_up_gets_no_connections() -> None:
    bound = Listeners(LOOPBACK, is_exclusive=True)
    kept, given_up = bound.add(0), bound.add(1)
    kept.listen()
    given_up.listen()
    bound.remove(1)
    bound.remove(1)
    for _ in range(20):
        socket.create_connection(kept.getsockname(), timeout=5).close()
    accepted = 0
    while accepted < 20:
        kept.accept()[0].close()
        accepted += 1
    bound.close()


def test_ipv6_only_and_dual() -> None:
    for use_ipv6, v6only in ((IPV6, 1), (BOTH, 0)):
        bound = Listeners(listeners.resolve("", 0, use_ipv6), is_exclusive=True)
        sock = bound.add(0)
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == v6only
        assert bound.address.is_dual == (use_ipv6 == BOTH)
        bound.close()


def test_one_listener_is_exclusive() -> None:
    one = OneListener(LOOPBACK)
    assert one.address.port > 0
    assert [sock.family for sock in one.others(0)] == [socket.AF_UNIX, socket.AF_INET]
    one.add(0)
    one.remove(0)
    assert not one.are_listening()
    one.sock.listen()
    assert one.are_listening()
    with pytest.raises(StartError, match="in use"):
        listeners.bind(one.address, is_shared=True)
    one.close()


def test_a_port_that_was_asked_for_stays() -> None:
    with socket.socket() as sock:
        address = Address(socket.AF_INET, "127.0.0.1", 9001)
        assert listeners.settled(address, sock) is address


def test_a_renewed_socket_takes_nobody_until_it_listens() -> None:
    bound = Listeners(Address(socket.AF_INET, "127.0.0.1", 0), is_exclusive=True)
    bound.add(0).listen()
    where = ("127.0.0.1", bound.address.port)
    with socket.create_connection(where, 5) as waiting:
        bound.renew(0)
        with pytest.raises(ConnectionResetError):
            waiting.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, 5)
    bound.renew(7)  # a slot that is not there
    bound.add(0).listen()
    socket.create_connection(where, 5).close()
    bound.close()


def test_a_socket_that_cannot_be_renewed_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The address has left the host: the other slots must not be harmed."""
    bound = Listeners(Address(socket.AF_INET, "127.0.0.1", 0), is_exclusive=True)
    bound.add(0).listen()

    def refuse(address: Address, *, is_shared: bool) -> socket.socket:
        raise StartError("cannot listen: the address is not one of this host")

    monkeypatch.setattr(listeners, "bind", refuse)
    bound.renew(0)
    assert "slot 0 keeps its socket" in caplog.text
    socket.create_connection(("127.0.0.1", bound.address.port), 5).close()
    bound.close()
