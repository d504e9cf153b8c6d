"""Sending by a wire: order, marks, counts, and what many share, in each implementation."""

import hashlib
import socket
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from shardws.outcomes import QUEUED
from tests.unit.net.pump.pump_fixture import (
    BLOCKED_WIRE,
    CLOSING,
    OPENING,
    World,
    out,
    worlds,
)

world = worlds()
world_in_c = worlds("c")

SIZES = [0, 1, 125, 126, 65535, 65536, 300_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_leaves_as_one_frame(world: World, size: int) -> None:
    wire, client = world.connect()
    payload = bytes(size)
    assert wire.send(1, payload) is QUEUED
    assert wire.size == size
    expected = out(payload, 0x81)
    assert world.read(client, len(expected)) == expected
    assert wire.queued == 0
    assert world.counts == [0, 0, 1, len(expected)]


def test_all_ways_out_keep_their_order(world: World) -> None:
    """Large payloads are referred to, small ones copied: none overtakes."""
    wire, client = world.connect()
    expected = b""
    for number, size in zip(range(60), cycle([3, 70_000, 500, 65_536, 0, 200_000])):
        payload = bytes([number]) * size
        if number % 3 == 0:
            wire.send(2, payload)
            expected += out(payload)
        elif number % 3 == 1:
            wire.append(0x81, payload, True)
            expected += out(payload, 0x81)
        else:
            wire.write(payload)
            expected += payload
    found = world.read(client, len(expected))
    assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()
    assert world.counts == [0, 0, 40, len(expected)]


def test_what_a_turn_sends_leaves_in_one_write(world_in_c: World) -> None:
    wire, client = world_in_c.connect()
    for _ in range(10):
        wire.send(2, b"x" * 10)
    assert world_in_c.counts[2:] == [0, 0], "nothing is written before the turn ends"
    world_in_c.turns(2)
    assert world_in_c.counts[2:] == [10, 120]
    assert client.recv(1000) == out(b"x" * 10) * 10


@pytest.mark.parametrize(
    ("name", "value"), [("state", CLOSING), ("state", OPENING), ("blocked", 2), ("is_plain", False)]
)
def test_what_is_unusual_is_sent_slowly(world: World, name: str, value: int) -> None:
    wire, client = world.connect()
    setattr(wire, name, value)
    assert wire.send(2, b"a") == "slowly"
    assert ("slowly", 2, b"a") in wire.calls
    assert wire.append(0x82, b"b", True) in (None, True)  # whatever blocks
    assert world.read(client, 3) == out(b"b")


def test_control_frames_are_sent_slowly(world: World) -> None:
    wire, _ = world.connect()
    for kind in (9, 10, 1 << 70):
        assert wire.send(kind, b"") == "slowly"


def fill(world: World) -> tuple[Any, socket.socket, bytes]:
    """Return a wire that is blocked, its client, and all that was sent."""
    wire, client = world.connect(send_buffer=4096)
    wire.high_mark, wire.low_mark = 100_000, 20_000
    if wire.transport is not None:
        wire.attach(wire.transport)  # tells it of the marks
    sent = b""
    while not wire.blocked & BLOCKED_WIRE:
        payload = len(sent).to_bytes(4, "big") * 2500
        wire.send(2, payload)
        sent += out(payload)
        world.turns()
    return wire, client, sent


def test_the_marks_are_told(world: World) -> None:
    wire, client, sent = fill(world)
    assert wire.queued_at_pause > 100_000  # the kernel may have taken some since
    assert wire.send(2, b"more") == "slowly"
    wire.append(0x82, b"behind", True)
    sent += out(b"behind")
    assert world.read(client, len(sent)) == sent
    world.until(lambda: wire.count("resume"))
    assert (wire.count("pause"), wire.count("resume"), wire.queued) == (1, 1, 0)


def test_it_is_written_again_and_again_to_a_slow_reader(world: World) -> None:
    _, client, sent = fill(world)
    found = b""
    while len(found) < len(sent):
        found += world.read(client, min(777, len(sent) - len(found)))
    assert found == sent


def test_marks_of_any_size(world_in_c: World) -> None:
    """OutHighMark goes up to 1 TiB: cut to 32 bits it once was 0, and every connection full."""
    wire, client = world_in_c.connect(send_buffer=4096)
    wire.high_mark = wire.low_mark = 1 << 40
    assert wire.high_mark == 1 << 40
    wire.send(2, bytes(1_000_000))
    world_in_c.turns(2)
    assert not wire.count("pause")
    assert len(world_in_c.read(client, 1_000_010)) == 1_000_010


def test_share_with_many(world: World) -> None:
    wires, clients = zip(*(world.connect() for _ in range(5)), strict=True)
    wires[1].state = CLOSING
    wires[2].blocked = 2
    wires[3].is_plain = False
    assert world.pump.share(wires, 1, b"hello") == [wires[1], wires[2], wires[3]]
    for client in (clients[0], clients[4]):
        assert world.read(client, 7) == out(b"hello", 0x81)
    assert world.counts[2:] == [2, 14]


def test_share_a_large_message_between_small_ones(world: World) -> None:
    wires, clients = zip(*(world.connect() for _ in range(3)), strict=True)
    payload = bytes(range(256)) * 400
    for wire in wires:
        wire.send(2, b"before")
    assert world.pump.share(iter(wires), 2, payload) == []
    for wire in wires:
        wire.send(2, b"after")
    expected = out(b"before") + out(payload) + out(b"after")
    for client in clients:
        assert world.read(client, len(expected)) == expected


def test_share_with_a_crowd(world: World) -> None:
    """From 256 wires on the writes wait some turns: none is forgotten."""
    pairs = [world.connect() for _ in range(260)]
    for number in range(3):
        assert world.pump.share([wire for wire, _ in pairs], 2, b"%d" % number) == []
    expected = b"".join(out(b"%d" % number) for number in range(3))
    for _, client in pairs:
        assert world.read(client, len(expected)) == expected


def test_nothing_is_queued_after_the_end(world_in_c: World) -> None:
    for end in ("close_wire", "end_output", "abort_wire"):
        wire, _ = world_in_c.connect()
        getattr(wire, end)()
        assert wire.append(0x82, b"x", True) is False
        assert wire.write(b"x") is None
        assert wire.send(2, b"x") == "slowly"
        assert world_in_c.pump.share([wire], 2, b"x") == [wire]
        assert wire.queued == 0


def test_a_callback_at_a_mark_does_not_overtake(world: World) -> None:
    """A transport tells of the high mark inside a write: what is left of that flush comes first."""

    class Transport:
        def __init__(self) -> None:
            self.written: list[bytes] = []

        def set_write_buffer_limits(self, high: int, low: int) -> None: ...
        def get_write_buffer_size(self) -> int:
            return 0

        def write(self, data: bytes) -> None:
            self.written.append(data)
            left.append(wire.queued)
            if len(self.written) == 1:
                wire.append(0x82, b"last", True)
                wire.flush()

    left: list[int] = []
    wire = world.wire_type(world.pump)
    transport = Transport()
    wire.attach(transport)
    large = bytes(100_000)
    for payload in (b"first", large, b"second"):
        wire.append(0x82, payload, True)
    wire.flush()
    expected = b"".join(map(out, (b"first", large, b"second", b"last")))
    assert b"".join(transport.written) == expected
    assert left[0] > len(large), "what has not reached the transport counts as queued"


def test_a_loop_that_takes_no_calls(world_in_c: World) -> None:
    """What cannot be written is not taken, and once the loop takes calls again it is written."""
    wire, client = world_in_c.connect()

    def fail(callback: object) -> None:
        raise RuntimeError("Event loop is closed")

    world_in_c.call_soon = fail
    ways: tuple[Callable[[], object], ...] = (
        lambda: wire.send(2, b"x"),
        lambda: wire.append(0x82, b"x", True),
        lambda: wire.write(b"x"),
        lambda: world_in_c.pump.share([wire], 2, b"x"),
    )
    for way in ways:
        with pytest.raises(RuntimeError, match="closed"):
            way()
    assert wire.queued == 0
    world_in_c.call_soon = world_in_c.loop.call_soon
    assert wire.send(2, b"x") is QUEUED
    assert world_in_c.read(client, 3) == out(b"x")


def test_a_loop_inside_a_handler_writes_what_is_queued(world: World) -> None:
    """It was written at the end of the outer turn, which waited for the answer to it."""
    soon: list[Callable[[], object]] = []
    world.call_soon = soon.append
    world.pump.is_nestable = True
    (wire, client), (other, its_client) = world.connect(), world.connect()
    wire.is_at_rest = False
    got: list[bytes] = []

    def turn_the_loop() -> None:
        while soon:
            soon.pop(0)()

    def handle(_wire: object, _data: bytes) -> None:
        wire.send(2, b"a")
        other.send(2, b"b")
        turn_the_loop()
        got.extend((client.recv(9), its_client.recv(9)))
        world.pump.share([wire, other], 2, b"c")
        other.abort_wire()
        turn_the_loop()
        got.append(client.recv(9))

    world.wire_type.bytes_received = handle
    world.write(client, b"?")
    world.until(lambda: len(got) == 3)
    assert got == [out(b"a"), out(b"b"), out(b"c")]
