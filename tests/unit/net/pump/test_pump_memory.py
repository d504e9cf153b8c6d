"""Nothing is left of wires and pumps in C, whatever state they are dropped in."""

import gc
import os
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shardws.net.pump import select
from tests.unit.net.pump.pump_fixture import OPEN, Recorder, World, frame, needs_c, new_pump, worlds

pytestmark = needs_c
world = worlds("c", "c over transports")
CONNECTS = int(os.environ.get("PUMP_CONNECTS", "2000"))
MOST_GROWTH = 4 << 20  # bytes of resident memory that many connects may leave


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    gc.collect()
    yield
    gc.collect()


def wire_type() -> Any:
    return type("Wire", (Recorder, select("c").Wire), {})


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_references_of_a_long_life(world: World) -> None:
    """Each object that passes through is given back."""
    wire, client = world.connect()
    payload, large = b"p" * 500, b"l" * 100_000
    world.handlers.on_data_in = lambda event: wire.send(event.data_format, event.text)
    event = None

    def turn() -> None:
        world.pump.share([wire], 2, payload)
        wire.append(0x82, large, True)
        wire.send(2, large)
        world.write(client, frame(payload))
        world.read(client, 2 * 504 + 2 * 100_010)

    turn()
    things = [wire, payload, large, world.pump, world.handlers, world.dispatch, wire.id, None, True]
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(100):
        turn()
    world.turns(3)
    after = [sys.getrefcount(thing) for thing in things]
    changes = [new - old for new, old in zip(after, before, strict=True)]
    assert event is None
    assert all(abs(change) < 50 for change in changes), changes


def test_many_connects_and_closes(world: World) -> None:
    messages = [b"hello", b"x" * 3000]

    def one(number: int) -> None:
        wire, client = world.connect()
        wire.id = number
        client.send(b"".join(map(frame, messages)) + (b"\x82" if number % 2 else b""))
        if number % 3 == 0:
            world.reset(client)
        elif number % 3 == 1:
            client.close()
        else:
            wire.send(2, b"y" * 70_000)
            world.turns()
            wire.abort_wire() if number % 4 else wire.close_wire()
            client.close()
        world.until(lambda: wire.count("lost"))
        world.events.clear()
        world.wires.clear()
        world.clients.clear()

    for number in range(200):
        one(number)
    world.turns(3)
    gc.collect()
    objects, files, memory = len(gc.get_objects()), descriptors(), resident()
    for number in range(CONNECTS):
        one(number)
    world.turns(3)
    gc.collect()
    grown = len(gc.get_objects()) - objects, descriptors() - files, resident() - memory
    print(f"{CONNECTS} connects left {grown} objects, descriptors and bytes of resident memory")
    assert grown[1] == 0
    assert grown[0] < 100
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # which keeps what was freed for a while
        assert grown[2] < MOST_GROWTH


def full(wire: Any, client: socket.socket) -> None:
    wire.send(2, bytes(2_000_000))


def paused(wire: Any, client: socket.socket) -> None:
    wire.pause_reading()
    client.send(frame(b"x") * 100)


def held(wire: Any, client: socket.socket) -> None:
    client.send(frame(b"x") * 100)
    wire.holds = 1


def lost(wire: Any, client: socket.socket) -> None:
    wire.abort_wire()


def more(wire: Any, client: socket.socket) -> None:
    client.send(frame(b"x") * 1000)


def dirty(wire: Any, client: socket.socket) -> None:
    wire.send(1, b"x")


STATES: list[Callable[[Any, socket.socket], None]] = [full, paused, held, lost, more, dirty]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_pump_is_dropped_with_its_wires(
    state: Callable[[Any, socket.socket], None], turns: int
) -> None:
    """They kept themselves for the epoll instance: neither they nor their sockets ever went."""
    files = descriptors()
    soon: list[Any] = []
    kind = wire_type()

    class Handlers:
        on_data_in: Any = None

    handlers: Any = Handlers()
    pump = new_pump(select("c"), handlers=handlers, call_soon=soon.append)
    pump.is_direct = True
    ours, client = socket.socketpair()
    wire = kind(pump)
    ours.setblocking(False)
    pump.adopt(wire, ours.detach())
    wire.state, wire.is_plain, wire.is_at_rest = OPEN, True, True
    wire.cycle = handlers.cycle = wire
    handlers.on_data_in = wire.calls.append
    state(wire, client)
    for _ in range(turns):
        pump.turn()
    found = weakref.ref(handlers)
    del wire, pump, handlers
    soon.clear()
    gc.collect()
    assert found() is None
    client.close()
    assert descriptors() == files


def test_a_forgotten_wire_lives_with_its_socket() -> None:
    """The pump keeps it: an event of its socket finds it."""
    pump = new_pump(select("c"))
    kind = wire_type()
    ours, client = socket.socketpair()
    calls: list[Any] = []
    wire = kind(pump)
    wire.calls = calls
    pump.adopt(wire, ours.detach())
    found = weakref.ref(wire)
    del wire
    gc.collect()
    assert found() is not None
    client.close()
    pump.turn()
    assert [call[0] for call in calls] == ["made", "eof", "lost"]
    gc.collect()
    assert found() is None


def test_what_is_dropped_with_a_pump_may_still_call_it() -> None:
    """A finalizer of the same garbage finds a pump that the collector has emptied."""
    pump = new_pump(select("c"), handlers=object())
    kind = wire_type()
    ours, client = socket.socketpair()

    class Last:
        wire: Any
        pump: Any

        def __del__(self) -> None:
            self.wire.send(2, b"x")
            self.wire.append(0x82, b"x", True)
            self.wire.abort_wire()
            self.pump.turn()
            self.pump.after_turn()

    last: Any = Last()
    last.wire, last.pump = kind(pump), pump
    last.wire.last = last
    pump.adopt(last.wire, ours.detach())
    last.wire.state, last.wire.is_plain = OPEN, True
    del last, pump
    gc.collect()
    client.close()
