"""How a wire ends: by either side, with what was queued, and told once, in each implementation."""

import errno
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.net.pump.pump_fixture import BLOCKED_WIRE, World, frame, out, worlds

world = worlds()
socket_world = worlds("c")

PING = frame(b"?", 0x89)


def test_close_when_everything_is_written(world: World) -> None:
    wire, client = world.connect()
    wire.send(2, b"last")
    wire.close_wire()
    assert not wire.count("lost"), "never inside a call"
    assert world.read(client, 100) == out(b"last")
    world.until(lambda: wire.count("lost"))
    assert wire.error is None
    assert not wire.is_attached


def test_close_waits_for_a_slow_reader(world: World) -> None:
    wire, client = world.connect(send_buffer=4096)
    payload = bytes(500_000)
    wire.send(2, payload)
    wire.close_wire()
    world.turns(5)
    assert not wire.count("lost")
    assert world.read(client, len(payload) + 100) == out(payload)
    world.until(lambda: wire.count("lost"))
    assert wire.error is None


def test_abort_at_once(world: World) -> None:
    wire, client = world.connect(send_buffer=4096)
    wire.send(2, bytes(500_000))
    world.turns(2)
    wire.abort_wire()
    assert not wire.count("lost"), "never inside a call"
    world.until(lambda: wire.count("lost"))
    assert wire.error is None
    assert not wire.is_attached
    assert len(world.read(client, 600_000)) < 500_000


def test_the_end_is_told_once(world: World) -> None:
    wire, client = world.connect()
    for name in ("close_wire", "abort_wire", "abort_wire", "close_wire", "end_output"):
        getattr(wire, name)()
    client.close()
    world.until(lambda: wire.count("lost"))
    for name in ("close_wire", "abort_wire", "end_output", "pause_reading", "resume_reading"):
        getattr(wire, name)()
    wire.flush()
    world.turns(5)
    assert wire.count("lost") == 1


def test_an_end_of_output_leaves_the_input(world: World) -> None:
    wire, client = world.connect(is_open=False)
    wire.write(b"last")
    wire.end_output()
    assert world.read(client, 100) == b"last"
    world.write(client, b"still")
    world.until(lambda: wire.given == b"still")
    assert not wire.count("lost")
    client.close()
    world.until(lambda: wire.count("lost"))
    assert (wire.count("eof"), wire.error) == (1, None)


def test_an_end_of_output_behind_much(world: World) -> None:
    wire, client = world.connect(send_buffer=4096)
    payload = bytes(500_000)
    wire.send(2, payload)
    wire.end_output()
    assert world.read(client, len(payload) + 100) == out(payload)
    assert not wire.count("lost")
    client.shutdown(socket.SHUT_WR)
    world.until(lambda: wire.count("lost"))


def test_the_peer_ends(world: World) -> None:
    wire, client = world.connect(is_open=False)
    client.send(b"bytes")
    client.close()
    world.until(lambda: wire.count("lost"))
    assert wire.given == b"bytes"
    assert [call[0] for call in wire.calls] == ["made", "eof", "lost"]
    assert wire.error is None


def test_the_peer_ends_its_output_alone(world: World) -> None:
    wire, client = world.connect()
    wire.stays_after_eof = True
    client.shutdown(socket.SHUT_WR)
    world.until(lambda: wire.count("eof"))
    world.turns(5)
    assert (wire.count("eof"), wire.count("lost")) == (1, 0)
    wire.append(0x82, b"answer", True)
    assert world.read(client, 8) == out(b"answer")
    wire.close_wire()
    world.until(lambda: wire.count("lost"))


def test_the_peer_resets(world: World) -> None:
    wire, client = world.connect()
    world.turns(2)
    world.reset(client)
    world.until(lambda: wire.count("lost"))
    assert isinstance(wire.error, ConnectionResetError)
    assert wire.error.errno == errno.ECONNRESET


def test_the_peer_resets_while_it_is_written(world: World) -> None:
    wire, client = world.connect(send_buffer=4096)
    wire.send(2, bytes(500_000))
    world.turns(3)
    world.reset(client)
    world.until(lambda: wire.count("lost"))
    assert isinstance(wire.error, ConnectionResetError | BrokenPipeError)
    assert wire.count("lost") == 1


def test_the_peer_resets_a_paused_wire(socket_world: World) -> None:
    """An error cannot be masked: the wire is not watched until reading goes on."""
    wire, client = socket_world.connect()
    wire.pause_reading()
    client.send(frame(b"unread"))
    socket_world.turns(3)
    socket_world.reset(client)
    socket_world.turns(10)
    assert not wire.count("lost")
    assert not select.select([socket_world.pump], [], [], 0)[0], "the loop would spin"
    wire.resume_reading()
    socket_world.until(lambda: wire.count("lost"))
    assert isinstance(wire.error, ConnectionResetError)


def test_the_peer_resets_after_its_end(socket_world: World) -> None:
    wire, client = socket_world.connect()
    wire.stays_after_eof = True
    client.shutdown(socket.SHUT_WR)
    socket_world.until(lambda: wire.count("eof"))
    socket_world.reset(client)
    socket_world.until(lambda: wire.count("lost"))


@pytest.mark.parametrize("is_paused", [False, True])
def test_both_sides_end(socket_world: World, is_paused: bool) -> None:
    """Hang-up, which cannot be masked either."""
    wire, client = socket_world.connect()
    if is_paused:
        wire.pause_reading()
    wire.end_output()
    client.shutdown(socket.SHUT_WR)
    if is_paused:
        socket_world.turns(10)
        assert not select.select([socket_world.pump], [], [], 0)[0], "the loop would spin"
        wire.resume_reading()
    socket_world.until(lambda: wire.count("lost"))
    assert wire.error is None


def test_an_end_of_the_peer_while_paused_is_seen_later(socket_world: World) -> None:
    wire, client = socket_world.connect()
    wire.pause_reading()
    client.send(frame(b"a"))
    client.shutdown(socket.SHUT_WR)
    socket_world.turns(10)
    assert not wire.count("eof")
    wire.resume_reading()
    socket_world.until(lambda: wire.count("lost"))
    assert [event.text for event in socket_world.events] == [b"a"]
    assert wire.count("eof") == 1


def test_what_came_before_a_reset_is_served(socket_world: World) -> None:
    """It was read already: the slices to come were dropped when the reset was seen first."""
    wire, client = socket_world.connect()
    client.send(frame(b"a") * 1000)

    def handle(event: object) -> None:
        socket_world.events.append(event)
        if len(socket_world.events) == 1:
            socket_world.reset(client)

    socket_world.handlers.on_data_in = handle
    socket_world.until(lambda: wire.count("lost"))
    assert len(socket_world.events) == 1000


def test_no_descriptor_is_left(socket_world: World) -> None:
    wire, client = socket_world.connect()
    fd = wire.fileno()
    assert fd > 2
    copy = socket.socket(fileno=socket.dup(fd))
    wire.abort_wire()
    assert wire.fileno() == -1
    assert client.recv(1) == b"", "the copy of a forked child does not keep the connection"
    socket_world.until(lambda: wire.count("lost"))
    copy.close()


def much(wire: Any, client: socket.socket) -> None:
    wire.send(2, bytes(900_000))


def room_again(wire: Any, client: socket.socket) -> None:
    wire.blocked = BLOCKED_WIRE
    wire.append(0x82, b"x", True)


CALLBACKS: dict[str, Callable[[Any, socket.socket], object]] = {
    "bytes_received": lambda wire, client: client.send(PING),
    "eof_received": lambda wire, client: client.shutdown(socket.SHUT_WR),
    "pause_writing": much,
    "resume_writing": room_again,
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_an_end_inside_a_callback(socket_world: World, name: str) -> None:
    """Whatever a connection does in a callback, its socket may be gone when that returns."""
    wire, client = socket_world.connect(send_buffer=4096)
    wire.high_mark = 1000
    done = []

    def end(*arguments: object) -> bool:
        done.append(1)
        wire.abort_wire()
        wire.send(2, b"x")
        socket_world.pump.turn()
        return True

    setattr(wire, name, end)
    CALLBACKS[name](wire, client)
    socket_world.until(lambda: wire.count("lost"))
    assert done == [1]
