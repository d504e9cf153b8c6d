"""Reading by a wire in C: frames to the handler, slices, pauses, and all else to the connection."""

import asyncio
import socket
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from shardws.events import DataIn
from shardws.outcomes import QUEUED
from tests.unit.net.pump.pump_fixture import CLOSING, OPENING, World, frame, out, worlds

world = worlds("c", "c over transports")
socket_world = worlds("c")

PING = frame(b"?", 0x89)
MANY = 1000  # small messages: more than a slice
LARGE = 120_000


def numbered(count: int, size: int = 4) -> list[bytes]:
    return [number.to_bytes(4, "big") * (size // 4) for number in range(count)]


def texts(world: World, wire_id: int = 1) -> list[bytes]:
    return [event.text for event in world.events if event.connection_id == wire_id]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 300_000])
@pytest.mark.parametrize("kind", [1, 2])
def test_a_whole_frame_is_an_event(world: World, size: int, kind: int) -> None:
    wire, client = world.connect()
    data = frame(b"a" * size, 0x80 | kind)
    world.write(client, data)
    if size < 300_000:
        world.until(lambda: world.events)
        assert world.events == [DataIn(1, kind, b"a" * size, True)]
        assert type(world.events[0]) is DataIn
        assert world.counts == [1, len(data), 0, 0]
    else:  # more than one read brings: Python's half puts it together
        world.until(lambda: len(wire.given) == len(data))
        assert wire.given == data


UNUSUAL = {
    "ping": PING,
    "pong": frame(b"", 0x8A),
    "close": frame(b"\x03\xe8", 0x88),
    "first fragment": frame(b"a", 0x01),
    "continuation": frame(b"a", 0x80),
    "compressed": frame(b"a", 0xC2),
    "reserved bit": frame(b"a", 0x92),
    "unknown opcode": frame(b"a", 0x83),
    "unmasked": out(b"a"),
    "not UTF-8": frame(b"a\xff", 0x81),
    "cut UTF-8": frame("ü".encode()[:1], 0x81),
    "too long": frame(b"a" * 1001),
    "length in a longer form": b"\x82\xfe\x00\x01keyXa",
    "length of 64 bits": b"\x82\xff" + b"\xff" * 8 + b"keyX",
}
PARTIAL = {
    "partial": frame(b"abcdef")[:-1],
    "partial header": frame(b"a" * 500)[:3],
    "one byte": b"\x82",
}


@pytest.mark.parametrize("data", (UNUSUAL | PARTIAL).values(), ids=UNUSUAL | PARTIAL)
def test_from_an_unusual_frame_on_bytes_are_given_away(world: World, data: bytes) -> None:
    wire, client = world.connect()
    wire.max_size = 1000
    whole = frame(b"one") + frame("zwei ü".encode(), 0x81)
    behind = b"" if data in PARTIAL.values() else frame(b"behind")
    world.write(client, whole + data + behind)
    world.until(lambda: wire.given)
    assert texts(world) == [b"one", "zwei ü".encode()]
    assert wire.given == data + behind
    assert world.counts == [2, len(whole), 0, 0]


@pytest.mark.parametrize(
    ("name", "value"), [("state", OPENING), ("state", CLOSING), ("is_at_rest", False)]
)
def test_nothing_is_read_here_unless_open_and_at_rest(
    world: World, name: str, value: object
) -> None:
    wire, client = world.connect()
    setattr(wire, name, value)
    world.write(client, frame(b"a"))
    world.until(lambda: wire.given)
    assert wire.given == frame(b"a")
    assert not world.events


def test_another_dispatcher_is_given_the_bytes(world: World) -> None:
    wire, client = world.connect()
    world.pump.is_direct = False
    world.write(client, frame(b"a"))
    world.until(lambda: wire.given)
    assert wire.given == frame(b"a")


def test_without_a_handler_messages_are_counted(world: World) -> None:
    _, client = world.connect()
    world.handlers.on_data_in = None
    world.write(client, frame(b"a") * 3)
    world.until(lambda: world.counts[0] == 3)


def test_what_a_handler_sends_leaves_in_one_write(socket_world: World) -> None:
    wire, client = socket_world.connect()
    socket_world.handlers.on_data_in = lambda event: wire.send(event.data_format, event.text)
    socket_world.write(client, b"".join(map(frame, numbered(20))))
    assert socket_world.read(client, 20 * 6) == b"".join(map(out, numbered(20)))
    assert socket_world.counts[2:] == [20, 120]


# -- slices --------------------------------------------------------------------------------------


def test_more_than_a_slice_arrives_in_order(world: World) -> None:
    _, client = world.connect()
    messages = numbered(MANY)
    world.write(client, b"".join(map(frame, messages)))
    world.until(lambda: len(world.events) == MANY)
    assert texts(world) == messages


def test_large_messages_arrive_in_order(world: World) -> None:
    """A slice ends by bytes too; the frame that one read cuts goes to the connection."""
    wire, client = world.connect()
    messages = numbered(20, LARGE)
    for message in messages:
        world.write(client, frame(message))
        world.until(lambda: len(world.events) or wire.given)
        if wire.given:
            break
    assert texts(world) == messages[: len(world.events)]


def test_another_wire_is_served_between_two_slices(world: World) -> None:
    wires = [world.connect() for _ in range(2)]
    for _, client in wires:
        client.send(b"".join(map(frame, numbered(300))))
    world.until(lambda: len(world.events) == 600)
    order = [event.connection_id for event in world.events]
    changes = sum(one != other for one, other in pairwise(order))
    assert changes >= 8, "300 messages are five slices of each"
    assert texts(world, 1) == texts(world, 2) == numbered(300)


def test_slow_handlers_end_a_slice(world: World) -> None:
    (first, one), (_, other) = world.connect(), world.connect()
    order: list[int] = []

    def handle(event: DataIn) -> None:
        until = world.loop.time() + 0.0015
        while world.loop.time() < until:
            pass
        order.append(event.connection_id)

    world.handlers.on_data_in = handle
    one.send(b"".join(map(frame, numbered(10))))
    other.send(b"".join(map(frame, numbered(10))))
    world.until(lambda: len(order) == 20)
    assert order[:10].count(1) < 10
    assert order[:10].count(2) < 10
    assert first.id == 1


def test_one_that_is_always_ready_starves_nobody(socket_world: World) -> None:
    """Its handler takes a whole turn: epoll reported it first again and again, and only it."""
    pairs = [socket_world.connect() for _ in range(6)]
    by_id = {wire.id: client for wire, client in pairs}
    handled: list[int] = []

    def handle(event: DataIn) -> None:
        by_id[event.connection_id].send(frame(b"again"))
        until = socket_world.loop.time() + 0.0025
        while socket_world.loop.time() < until:
            pass
        handled.append(event.connection_id)

    socket_world.handlers.on_data_in = handle
    for client in by_id.values():
        client.send(frame(b"first"))
    socket_world.until(lambda: len(handled) >= 60)
    assert set(handled) == set(by_id)
    assert max(map(handled.count, by_id)) <= 2 * min(map(handled.count, by_id)) + 2


# -- pauses --------------------------------------------------------------------------------------


def pause_at(world: World, wire: Any, number: int, pause: Callable[[], None]) -> None:
    """Have the handler call `pause` at a message."""

    def handle(event: DataIn) -> None:
        world.events.append(event)
        if len(world.events) == number:
            pause()

    world.handlers.on_data_in = handle


def test_a_pause_in_a_handler_holds_the_rest_back(world: World) -> None:
    wire, client = world.connect()
    pause_at(world, wire, 10, wire.pause_reading)
    messages = numbered(200)
    world.write(client, b"".join(map(frame, messages[:100])))
    world.until(lambda: len(world.events) == 10)
    world.write(client, b"".join(map(frame, messages[100:])))
    world.turns(20)
    assert len(world.events) == 10
    wire.resume_reading()
    world.until(lambda: len(world.events) == 200)
    assert texts(world) == messages
    assert not wire.given


def test_what_comes_behind_a_stop_in_a_handler_is_given_to_the_connection(world: World) -> None:
    """It keeps that itself, bounded, and reads on, so that a client that leaves is noticed."""
    wire, client = world.connect()

    def stop() -> None:  # as the connection does when a handler holds it
        wire.stops = 8

    pause_at(world, wire, 70, stop)
    frames = [frame(text) for text in numbered(200)]
    world.write(client, b"".join(frames))
    world.until(lambda: bytes(wire.given) == b"".join(frames[70:]))
    assert len(world.events) == 70
    wire.stops = 0
    world.write(client, frame(b"later"))
    world.until(lambda: len(world.events) == 71)
    assert texts(world) == [*numbered(70), b"later"]


def test_pauses_and_resumes_again_and_again(world: World) -> None:
    wire, client = world.connect()
    messages = numbered(MANY)

    def handle(event: DataIn) -> None:
        world.events.append(event)
        wire.pause_reading()
        if len(world.events) % 7:
            wire.resume_reading()
        else:
            world.loop.call_soon(wire.resume_reading)

    world.handlers.on_data_in = handle
    world.write(client, b"".join(map(frame, messages)))
    world.until(lambda: len(world.events) == MANY)
    assert texts(world) == messages


def test_a_paused_socket_does_not_spin(socket_world: World) -> None:
    """Data for a paused wire makes the descriptor readable once, not for ever."""
    wire, client = socket_world.connect()
    wire.pause_reading()
    client.send(frame(b"a"))
    socket_world.turns(3)
    turned = 0

    def turn() -> None:
        nonlocal turned
        turned += 1
        socket_world.pump.turn()

    socket_world.loop.add_reader(socket_world.pump.fileno(), turn)
    socket_world.turns(20)
    assert turned == 0
    wire.resume_reading()
    socket_world.until(lambda: socket_world.events)
    assert texts(socket_world) == [b"a"]


# -- handlers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), asyncio.CancelledError()])
def test_a_handler_that_raises(world: World, error: BaseException) -> None:
    _, client = world.connect()

    def handle(event: DataIn) -> None:
        world.events.append(event)
        if len(world.events) == 2:
            raise error

    world.handlers.on_data_in = handle
    world.write(client, frame(b"a") * 5)
    world.until(lambda: len(world.events) == 5)
    assert world.dispatch.failures == [(1, "on_data_in", error)]
    assert error.__traceback__ is not None
    assert not world.errors


def test_an_interrupt_is_no_fault_of_the_application(world: World) -> None:
    """It ends the connection, in a pump as in a transport; it was made an Error event here."""
    wire, client = world.connect()

    def interrupt(event: DataIn) -> None:
        raise KeyboardInterrupt

    world.handlers.on_data_in = interrupt
    world.write(client, frame(b"a"))
    world.until(lambda: world.errors)
    assert [type(error) for _, error in world.errors] == [KeyboardInterrupt]
    assert not world.dispatch.failures
    assert wire.count("lost") == 0


def test_what_a_handler_returns(world: World) -> None:
    wire, client = world.connect()
    results = iter([None, QUEUED, "later"])
    world.handlers.on_data_in = lambda event: next(results)
    world.write(client, frame(b"a") * 3)
    world.until(lambda: world.dispatch.started)
    assert world.dispatch.started == [(wire, "on_data_in", "later")]


@pytest.mark.parametrize("name", ["handler_failed", "start"])
def test_a_dispatcher_that_raises_is_reported(world: World, name: str) -> None:
    wire, client = world.connect()
    error = LookupError(name)

    def fail(*arguments: object) -> None:
        raise error

    setattr(world.dispatch, name, fail)
    world.handlers.on_data_in = lambda event: 1 if name == "start" else 1 // 0
    world.write(client, frame(b"a"))
    world.until(lambda: world.errors)
    assert world.errors == [(wire, error)]


def test_a_connection_that_raises_is_reported(world: World) -> None:
    wire, client = world.connect()
    error = LookupError("ours")

    def fail(data: bytes) -> None:
        raise error

    wire.bytes_received = fail
    world.write(client, PING)
    world.until(lambda: world.errors)
    assert world.errors == [(wire, error)]


def test_a_handler_that_ends_others_of_its_batch(socket_world: World) -> None:
    pairs = [socket_world.connect() for _ in range(20)]

    def handle(event: DataIn) -> None:
        socket_world.events.append(event)
        for wire, _ in pairs:
            if wire.id != event.connection_id:
                wire.abort_wire() if wire.id % 2 else wire.close_wire()
                assert not wire.count("lost"), "never inside a call"

    socket_world.handlers.on_data_in = handle
    for _, client in pairs:
        client.send(frame(b"a"))
    socket_world.until(lambda: sum(wire.count("lost") for wire, _ in pairs) == 19)
    socket_world.turns(5)
    assert len(socket_world.events) == 1
    assert [wire.count("lost") for wire, _ in pairs].count(1) == 19


def test_a_handler_that_ends_its_own_wire(socket_world: World) -> None:
    wire, client = socket_world.connect()
    pause_at(socket_world, wire, 3, wire.abort_wire)
    client.send(frame(b"a") * 100)
    socket_world.until(lambda: wire.count("lost"))
    assert len(socket_world.events) == 3


# -- turns inside turns --------------------------------------------------------------------------


def test_a_turn_inside_a_handler_keeps_the_order(socket_world: World) -> None:
    """What came meanwhile for the wire that is served was handled before what came earlier."""
    (_, one), (_, other) = socket_world.connect(), socket_world.connect()
    messages = numbered(6)

    def handle(event: DataIn) -> None:
        socket_world.events.append(event)
        if event.text == messages[0]:
            one.send(b"".join(map(frame, messages[3:])))
            other.send(frame(b"other"))
            for _ in range(3):
                socket_world.pump.turn()
            assert texts(socket_world, 2) == [b"other"], "others are served meanwhile"

    socket_world.handlers.on_data_in = handle
    one.send(b"".join(map(frame, messages[:3])))
    socket_world.until(lambda: len(socket_world.events) == 7)
    assert texts(socket_world, 1) == messages


def test_data_received_inside_a_handler_keeps_the_order(world: World) -> None:
    wire, client = world.connect()
    messages = numbered(200)

    def handle(event: DataIn) -> None:
        world.events.append(event)
        if event.text == messages[0]:
            wire.data_received(b"".join(map(frame, messages[100:])))

    world.handlers.on_data_in = handle
    world.write(client, b"".join(map(frame, messages[:100])))
    world.until(lambda: len(world.events) == 200)
    assert texts(world) == messages


def test_a_wire_that_is_lost_in_an_inner_turn(socket_world: World) -> None:
    """Its event may still stand in the outer one's list."""
    pairs = [socket_world.connect() for _ in range(10)]

    def handle(event: DataIn) -> None:
        socket_world.events.append(event)
        if len(socket_world.events) > 1:
            return
        while len(pairs) > 1:
            wire, client = pairs.pop()
            wire.abort_wire()
            client.close()
            del wire
        for _ in range(3):
            socket_world.pump.turn()

    socket_world.handlers.on_data_in = handle
    for _, client in reversed(pairs):
        client.send(frame(b"a"))
    socket_world.turns(10)
    assert socket_world.events


def test_nobody_is_told_lost_inside_data_received(socket_world: World) -> None:
    wire, _ = socket_world.connect()
    other, _ = socket_world.connect()
    socket_world.handlers.on_data_in = lambda event: other.abort_wire()
    wire.data_received(frame(b"a"))
    assert not other.count("lost")
    socket_world.until(lambda: other.count("lost"))


def test_the_sockets_buffers_are_read_to_the_end(socket_world: World) -> None:
    wire, client = socket_world.connect()
    data = b"".join(map(frame, numbered(MANY * 20)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    socket_world.write(client, data)
    client.shutdown(socket.SHUT_WR)
    socket_world.until(lambda: wire.count("lost"))
    assert len(socket_world.events) * 10 + len(wire.given) == len(data)
