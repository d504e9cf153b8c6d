"""A socket that leaves a wire, comes back to it, or comes to another one."""

import gc
import os
import socket
import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from shardws.net.pump import select, twin
from tests.unit.net.pump.pump_fixture import OPEN, Recorder, World, frame, new_pump, out, worlds

world = worlds()
direct = worlds("c")
KERNEL = 4096


def data_of(world: World) -> list[bytes]:
    return [event.text for event in world.events]


def test_a_detached_wire_does_nothing_until_it_is_retaken(world: World) -> None:
    wire, client = world.connect()
    taken = wire.detach()
    assert taken[1:] == (b"", b"", False)
    assert (taken[0] >= 0) == world.is_direct
    wire.pause_reading()  # the caller sees to that: a transport would go on
    world.write(client, frame(b"later"))
    world.turns(3)
    assert world.events == []
    wire.retake()
    wire.resume_reading()
    world.until(lambda: world.events or wire.given)
    wire.send(2, b"answer")
    assert world.read(client, 8) == out(b"answer")


def test_what_was_read_and_not_served_is_given_and_kept(direct: World) -> None:
    wire, client = direct.connect()
    messages = [b"%d" % number for number in range(200)]
    taken: list[Any] = []

    def on_data_in(event: Any) -> None:
        direct.events.append(event)
        if event.text == b"63":  # the last of a slice; the rest waits for the next turn
            direct.loop.call_soon(lambda: taken.append(wire.detach()))

    direct.handlers.on_data_in = on_data_in
    direct.write(client, b"".join(map(frame, messages)))
    direct.until(lambda: taken)
    fd, unread, unsent, is_inside = taken[0]
    assert unread == b"".join(map(frame, messages[len(direct.events) :]))
    assert (fd, unsent, is_inside) == (wire.fileno(), b"", False)
    served = len(direct.events)
    direct.turns(3)
    assert len(direct.events) == served
    wire.retake()
    direct.until(lambda: len(direct.events) == 200)
    assert data_of(direct) == messages


def test_what_the_kernel_does_not_take_is_given_and_kept(direct: World) -> None:
    wire, client = direct.connect(send_buffer=KERNEL)
    wire.high_mark = 1 << 30
    payload = os.urandom(1_000_000)
    wire.send(2, b"first")
    wire.send(2, payload)
    direct.turns(2)
    assert wire.queued
    wire.send(2, b"last")
    _, _, unsent, is_inside = wire.detach()
    assert is_inside
    assert unsent.endswith(payload[-100:] + out(b"last"))
    assert len(unsent) == wire.queued
    direct.turns(2)
    wire.retake()
    expected = out(b"first") + out(payload) + out(b"last")
    assert direct.read(client, len(expected)) == expected


def test_what_is_queued_is_written_when_it_leaves(world: World) -> None:
    wire, client = world.connect()
    wire.send(2, b"queued")
    while (taken := wire.detach()) is None:  # a transport writes it at the end of the turn
        world.turns()
    assert taken[2] == b""
    assert world.counts[2] == 1
    assert world.read(client, 8) == out(b"queued")


def test_a_transport_that_has_something_to_write_does_not_leave() -> None:
    """Nor a wire above it: what the transport has it does not give back."""
    for module in (twin, select("c")):
        made = World(module, is_direct=False)
        wire, _ = made.connect(send_buffer=KERNEL)
        wire.send(2, bytes(1_000_000))
        assert wire.detach() is None
        made.close()


def test_a_released_wire_leaves_the_connection_to_who_has_it(direct: World) -> None:
    wire, client = direct.connect()
    fd, *_ = wire.detach()
    other = socket.socket(fileno=os.dup(fd))
    wire.release()
    assert wire.fileno() == -1
    assert wire.send(2, b"x") == "slowly"
    other.send(b"still here")
    assert direct.read(client, 10) == b"still here"
    direct.turns(3)
    assert wire.count("lost") == 0
    other.close()
    assert direct.read(client, 1) == b""


def test_a_detached_wire_that_is_dropped_closes_its_descriptor_only(direct: World) -> None:
    wire, client = direct.connect()
    fd, *_ = wire.detach()
    copy = os.dup(fd)
    direct.wires.clear()
    direct.turns(2)
    del wire
    gc.collect()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
    os.write(copy, b"alive")
    assert direct.read(client, 5) == b"alive"
    os.close(copy)


def test_a_socket_is_resumed_with_what_was_not_written(direct: World) -> None:
    wire, client = direct.connect()
    fd, *_ = wire.detach()
    copy = os.dup(fd)
    wire.release()
    later = direct.wire_type(direct.pump)
    direct.wires.append(later)
    before = direct.counts
    direct.pump.resume(later, copy, b"unsent")
    later.state, later.is_plain, later.is_at_rest = OPEN, True, True
    direct.write(client, frame(b"early"))
    direct.turns(3)
    assert direct.events == []  # it is not read yet
    assert direct.read(client, 6) == b"unsent"
    assert direct.counts == before  # its former process has counted them
    later.send(2, b"more")
    assert direct.read(client, 6) == out(b"more")
    later.resume_reading()
    direct.until(lambda: direct.events)
    assert data_of(direct) == [b"early"]
    assert later.calls == []  # it is no new connection


def test_a_client_that_left_meanwhile_is_noticed_when_reading_begins(direct: World) -> None:
    for leave in (socket.socket.close, direct.reset):
        wire, client = direct.connect()
        fd, *_ = wire.detach()
        copy = os.dup(fd)
        wire.release()
        leave(client)
        later = direct.wire_type(direct.pump)
        direct.pump.resume(later, copy, b"")
        direct.turns(3)
        later.resume_reading()
        direct.until(partial(later.count, "lost"))


def test_no_wire_is_detached_in_a_turn(direct: World) -> None:
    """An event of it may be among those that the turn has fetched already."""
    wire, client = direct.connect()
    other, _ = direct.connect()
    taken: list[Any] = []
    direct.handlers.on_data_in = lambda event: taken.extend((wire.detach(), other.detach()))
    direct.write(client, frame(b"x"))
    direct.until(lambda: taken)
    assert taken == [None, None]
    assert other.detach() is not None


@pytest.mark.parametrize("end", ["close_wire", "end_output", "abort_wire"])
def test_a_wire_that_ends_does_not_leave(direct: World, end: str) -> None:
    wire, _ = direct.connect()
    getattr(wire, end)()
    assert wire.detach() is None


def test_misuse_is_an_exception(direct: World) -> None:
    wire, _ = direct.connect()
    for name in ("retake", "release"):
        with pytest.raises(ValueError, match="not detached"):
            getattr(wire, name)()
    assert wire.detach() is not None
    assert wire.detach() is None
    wire.retake()
    with pytest.raises(ValueError, match="adopted once"):
        direct.pump.resume(wire, 0, b"")
    with pytest.raises(OSError, match="Bad file"):
        direct.pump.resume(direct.wire_type(direct.pump), -1, b"unsent")
    with pytest.raises(TypeError):
        direct.pump.resume(object(), 0, b"")


@pytest.mark.parametrize("module", [twin])
def test_the_twin_serves_no_sockets(module: ModuleType) -> None:
    pump = new_pump(module)
    wire = type("Wire", (Recorder, module.Wire), {})(pump)
    with pytest.raises(ValueError, match="no sockets"):
        pump.resume(wire, 0, b"")
    assert wire.detach() is None
    for name in ("retake", "release"):
        with pytest.raises(ValueError, match="not detached"):
            getattr(wire, name)()


def test_nothing_is_left_of_many_that_went_and_came(direct: World) -> None:
    wire, client = direct.connect()
    things = [direct.pump, None, True, False]
    before = [sys.getrefcount(thing) for thing in things]
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(500):
        fd, *_ = wire.detach()
        copy = os.dup(fd)
        wire.release()
        wire = direct.wire_type(direct.pump)
        direct.pump.resume(wire, copy, b"")
        wire.detach()
        wire.retake()
        direct.turns()
    direct.wires[:] = [wire]
    after = [sys.getrefcount(thing) for thing in things]
    assert all(abs(new - old) < 50 for new, old in zip(after, before, strict=True))
    assert len(os.listdir("/proc/self/fd")) == files
    wire.resume_reading()
    wire.state, wire.is_plain, wire.is_at_rest = OPEN, True, True
    direct.write(client, frame(b"x"))
    direct.until(lambda: direct.events)
