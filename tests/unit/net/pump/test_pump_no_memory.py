"""Each allocation that fails in the data path ends one connection at most, and is told.

Each scenario is run as often as its turn has allocations: every time another one fails. A healthy
connection beside it is served, before and after.
"""

import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.memory_failures import each_fails, one_fails
from tests.unit.net.pump.pump_fixture import DEADLINE_S, World, frame, needs_c, out, worlds

pytestmark = needs_c
world = worlds("c")

MESSAGE = b"m" * 300
LARGE = b"L" * 70_000


class EndingErrors(list[tuple[Any, BaseException]]):
    """What is reported to the owner, who ends the connection as a shard does."""

    def append(self, error: tuple[Any, BaseException]) -> None:
        super().append(error)
        if error[0] is not None:
            error[0].abort_wire()


class Round:
    """A victim and a healthy connection of one world, both served by an echo."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        world.errors = EndingErrors()
        world.handlers.on_data_in = self.echo
        self.unraisable: list[object] = []
        monkeypatch.setattr(
            sys, "unraisablehook", lambda told: self.unraisable.append(told.err_msg)
        )
        self.healthy, self.client = world.connect()

    def echo(self, event: Any) -> None:
        self.world.wires[event.connection_id - 1].send(event.data_format, event.text)

    def reports(self) -> int:
        return len(self.world.errors) + len(self.world.dispatch.failures) + len(self.unraisable)

    def check_healthy(self) -> None:
        self.world.write(self.client, frame(b"alive"))
        assert self.world.read(self.client, 7) == out(b"alive")

    def settle(self, wire: Any, client: socket.socket, expected: bytes, before: int) -> None:
        """See that the victim has all its bytes, or that its end or a fault was told."""
        if not wire.count("lost") and self.reports() == before and not wire.given:
            assert self.world.read(client, len(expected)) == expected
        wire.abort_wire()
        self.world.until(lambda: wire.count("lost"))
        assert wire.count("lost") == 1
        assert not self.healthy.count("lost")
        client.close()
        self.world.clients.remove(client)


def echoes(wire: Any, client: socket.socket) -> bytes:
    client.send(frame(MESSAGE) + frame(b"text", 0x81))
    return out(MESSAGE) + out(b"text", 0x81)


def echoes_large(wire: Any, client: socket.socket) -> bytes:
    client.send(frame(LARGE))
    return out(LARGE)


def echoes_many(wire: Any, client: socket.socket) -> bytes:
    client.send(frame(b"x") * 70)
    return out(b"x") * 70


def is_given(wire: Any, client: socket.socket) -> bytes:
    client.send(frame(b"ping", 0x89))
    return b""


def ends(wire: Any, client: socket.socket) -> bytes:
    client.shutdown(socket.SHUT_WR)
    return b""


def is_reset(wire: Any, client: socket.socket) -> bytes:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.shutdown(socket.SHUT_RD)
    client.send(b"\x82")
    return b""


def fills(wire: Any, client: socket.socket) -> bytes:
    """The outgoing queue passes its mark."""
    wire.high_mark, wire.low_mark = 1000, 100
    client.send(frame(LARGE) * 40)
    return out(LARGE) * 40


SCENARIOS = [echoes, echoes_large, echoes_many, is_given, ends, is_reset, fills]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_each_allocation_of_a_turn(
    world: World,
    scenario: Callable[[Any, socket.socket], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Round(world, monkeypatch)
    turn = world.pump.turn

    def step(number: int) -> bool:
        wire, client = world.connect()
        expected, before = scenario(wire, client), around.reports()
        failed = one_fails(number, turn)
        around.check_healthy()
        around.settle(wire, client, expected, before)
        return failed

    each_fails(step)


CALLS: dict[str, Callable[[Any, Any], object]] = {
    "send": lambda pump, wire: wire.send(2, MESSAGE),
    "send large": lambda pump, wire: wire.send(2, LARGE),
    "append": lambda pump, wire: wire.append(0x02, MESSAGE, False),
    "write": lambda pump, wire: wire.write(MESSAGE),
    "close": lambda pump, wire: wire.close_wire(),
    "abort": lambda pump, wire: wire.abort_wire(),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_allocation_of_a_call(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From outside a turn: it raises, and what was to follow is not forgotten."""
    around = Round(world, monkeypatch)
    pump, call = world.pump, CALLS[name]

    def step(number: int) -> bool:
        wire, client = world.connect()
        raised: list[object] = [None]

        def guarded() -> None:
            try:
                call(pump, wire)
            except MemoryError:
                raised.clear()

        failed = one_fails(number, guarded)
        around.check_healthy()
        if not raised and name in ("append", "write"):
            assert wire.count("lost"), "the rest of its stream would make no sense"
        if name in ("close", "abort"):
            world.until(lambda: wire.count("lost"))
        around.settle(wire, client, b"", 0)
        return failed

    each_fails(step)


def test_each_allocation_of_a_share(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others get the message, whichever fails."""
    around = Round(world, monkeypatch)
    share = world.pump.share

    def step(number: int) -> bool:
        wires, clients = zip(*(world.connect() for _ in range(3)), strict=True)
        raised: list[object] = [None]

        def guarded() -> None:
            try:
                share(wires, 2, MESSAGE)
            except MemoryError:
                raised.clear()

        failed = one_fails(number, guarded)
        around.check_healthy()
        gone = sum(wire.count("lost") for wire in wires)
        if raised:
            assert gone <= 1
            for wire, client in zip(wires, clients, strict=True):
                if not wire.count("lost"):
                    assert world.read(client, 304) == out(MESSAGE)
        else:
            assert not gone
            assert not any(wire.queued for wire in wires)
        for wire, client in zip(wires, clients, strict=True):
            around.settle(wire, client, b"", 0)
        return failed

    each_fails(step)


def test_each_allocation_of_accept(world: World) -> None:
    """Who was accepted is served or closed, never forgotten."""
    accept, listening, port = world.pump.accept, world.listening, world.listening.fileno()
    listening.setblocking(False)

    def step(number: int) -> bool:
        clients = [socket.create_connection(listening.getsockname()) for _ in range(3)]
        results: list[tuple[list[int], int]] = [([], 0)]

        def guarded() -> None:
            try:  # noqa: SIM105  contextlib.suppress would allocate
                results[0] = accept(port, 16)
            except MemoryError:
                pass

        failed = one_fails(number, guarded)
        for fd in results[0][0] + accept(port, 16)[0]:
            socket.socket(fileno=fd).close()
        for client in clients:
            client.settimeout(DEADLINE_S)
            assert client.recv(1) == b""
            client.close()
        return failed

    each_fails(step)
