"""Sockets that come from another process, and from another wire: pump/accept-inl.h."""

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.net.pump.pump_fixture import World, frame, needs_c, worlds

pytestmark = needs_c
world = worlds("c")


@pytest.fixture
def way() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of the way to a shard."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def following(world: World) -> Any:
    wire = world.wire_type(world.pump)
    world.wires.append(wire)
    return wire


# -- from another wire -----------------------------------------------------------------------------


def test_another_wire_serves_the_socket(world: World) -> None:
    first, client = world.connect(is_open=False)
    second = following(world)
    world.pump.hand_over(first, second)
    client.send(frame(b"hello"))
    world.until(lambda: second.given)
    assert second.calls == [("made",)]
    assert (first.given, first.is_attached, second.is_attached) == (b"", False, True)
    assert second.get_extra_info("peername") == client.getsockname()
    client.close()
    world.until(lambda: second.count("lost"))
    assert first.calls == [("made",)], "the end is told to who has the socket"


def test_inside_a_read(world: World) -> None:
    """As it comes: what the first wire reads makes it hand over, and gives on what is left."""
    first, client = world.connect(is_open=False)
    second = following(world)

    def bytes_received(data: bytes) -> None:
        world.pump.hand_over(first, second)
        second.data_received(data[3:])

    first.bytes_received = bytes_received
    client.send(b"abcdef")
    world.until(lambda: second.given)
    client.send(b"g")
    world.until(lambda: second.given == b"defg")
    assert not world.errors


def test_a_wire_that_is_gone_holds_nothing(world: World) -> None:
    """Its last reference goes when the turn ends; an outer one may have an event of it."""
    first, _ = world.connect(is_open=False)
    gone: list[bool] = []
    world.wires.remove(first)
    world.pump.hand_over(first, following(world))

    class Told:
        def __del__(self) -> None:
            gone.append(True)

    first.told = Told()
    del first
    world.pump.turn()
    assert gone == [True]


@pytest.mark.parametrize("kind", ["queued", "ended", "twice", "foreign", "unserved"])
def test_what_is_not_handed_over(world: World, kind: str) -> None:
    first, _ = world.connect(is_open=False)
    second = following(world)
    if kind == "queued":
        first.write(b"x")
    elif kind == "ended":
        first.close_wire()
    elif kind == "twice":
        second = first
    elif kind == "foreign":
        first = world.wire_type(world.pump)
    else:
        world.pump.hand_over(first, second)
    with pytest.raises(ValueError, match="at rest"):
        world.pump.hand_over(first, second)


@pytest.mark.parametrize("arguments", [(), (1, 2)])
def test_only_wires_are(world: World, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        world.pump.hand_over(*arguments)


# -- from another process --------------------------------------------------------------------------


def test_sockets_are_taken_ready_to_serve(
    world: World, way: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = way
    sent = [socket.socketpair() for _ in range(3)]
    for kept, given in sent:
        socket.send_fds(ours, [b"c"], [given.fileno()])
        kept.close()
        given.close()
    taken, missing, error = world.pump.take(theirs.fileno(), 2)
    assert (len(taken), missing, error) == (2, 0, 0)
    more, missing, error = world.pump.take(theirs.fileno(), 2)
    assert (len(more), missing, error) == (1, 0, 0)
    for fd in taken + more:
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        os.close(fd)
    assert world.pump.take(theirs.fileno(), 2) == ([], 0, 0)


def test_a_message_without_its_socket_and_the_end(
    world: World, way: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = way
    ours.send(b"c")
    ours.close()
    assert world.pump.take(theirs.fileno(), 9) == ([], 1, -1)


def test_a_way_that_fails(world: World) -> None:
    assert world.pump.take(-1, 1) == ([], 0, errno.EBADF)
