"""Wrong arguments, wrong times: an exception each, never a crash."""

import errno
import os
import resource
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from shardws.net.pump import select
from tests.unit.net.pump.pump_fixture import OPEN, Recorder, World, frame, needs_c, new_pump, worlds

pytestmark = needs_c
world = worlds("c")


def unbound() -> Any:
    return select("c").Wire()


METHODS: dict[str, tuple[Any, ...]] = {
    "flush": (),
    "close_wire": (),
    "abort_wire": (),
    "end_output": (),
    "pause_reading": (),
    "resume_reading": (),
    "fileno": (),
    "get_extra_info": ("peername",),
}


@pytest.mark.parametrize("name", METHODS)
def test_an_unbound_wire_does_nothing(name: str) -> None:
    wire = unbound()
    getattr(wire, name)(*METHODS[name])
    assert (wire.queued, wire.is_attached, wire.transport) == (0, False, None)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("attach", (None,)),
        ("attach", (object(),)),
        ("data_received", (b"",)),
        ("append", (1, b"", True)),
        ("write", (b"",)),
        ("send", (1, b"")),
        ("bind", (None,)),
        ("setsockopt", (1, 1, 1)),
        ("getsockopt", (1, 1)),
    ],
)
def test_an_unbound_wire_refuses(name: str, arguments: tuple[Any, ...]) -> None:
    wire = unbound()
    wire.state, wire.is_plain = OPEN, True  # send once did without looking for its pump
    with pytest.raises((TypeError, ValueError, RuntimeError, AttributeError, OSError)):
        getattr(wire, name)(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("send", ()),
        ("send", (1,)),
        ("send", (1, b"", 3)),
        ("append", ()),
        ("append", ("1", b"", True)),
        ("append", (256, b"", True)),
        ("append", (-1, b"", True)),
        ("append", (1 << 40, b"", True)),
        ("append", (1, "text", True)),
        ("append", (1, None, True)),
        ("write", ("text",)),
        ("write", (None,)),
        ("data_received", ("text",)),
        ("data_received", (bytearray(b"x"),)),
        ("bind", (object(),)),
        ("attach", (object(),)),
        ("get_extra_info", (1,)),
        ("setsockopt", (1, 1)),
        ("setsockopt", (1, 1 << 40, 1)),
        ("setsockopt", (socket.SOL_SOCKET, 9999, 1)),
        ("getsockopt", (socket.SOL_SOCKET, 9999)),
    ],
)
def test_wrong_arguments_of_a_wire(world: World, name: str, arguments: tuple[Any, ...]) -> None:
    wire, _ = world.connect()
    with pytest.raises((TypeError, ValueError, OverflowError, OSError)):
        getattr(wire, name)(*arguments)
    assert wire.queued == 0


@pytest.mark.parametrize("payload", ["text", None, 7, bytearray(b"x"), memoryview(b"x")])
def test_what_is_no_bytes_is_sent_slowly(world: World, payload: object) -> None:
    wire, _ = world.connect()
    assert wire.send(2, payload) == "slowly"
    assert wire.send("2", b"x") == "slowly"


@pytest.mark.parametrize("payload", [bytearray(b"x"), memoryview(b"x")])
def test_append_takes_what_has_a_buffer(world: World, payload: Any) -> None:
    wire, client = world.connect()
    wire.append(0x82, payload, True)
    assert world.read(client, 3) == b"\x82\x01x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "open"),
        ("seen", None),
        ("max_size", 1 << 70),
        ("is_plain", 1),
        ("transport", None),
        ("queued", 1),
    ],
)
def test_wrong_attributes(world: World, name: str, value: object) -> None:
    wire, _ = world.connect()
    with pytest.raises((TypeError, AttributeError, OverflowError)):
        setattr(wire, name, value)


def test_a_wire_without_an_id(world: World) -> None:
    """A deleted attribute is no object: events were made with a hole in it."""
    wire, client = world.connect()
    del wire.id
    world.write(client, frame(b"a"))
    world.until(lambda: wire.given)
    assert not world.events


def test_a_negative_limit_lets_nothing_through(world: World) -> None:
    wire, client = world.connect()
    wire.max_size = -1
    world.write(client, frame(b""))
    world.until(lambda: wire.given)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"event_type": tuple}, TypeError),
        ({"event_type": int}, TypeError),
        ({"event_type": "tuple"}, TypeError),
        ({"event_type": os.stat_result}, TypeError),
        ({"row": memoryview(bytearray(512))}, ValueError),
        ({"row": memoryview(bytes(512)).cast("Q")}, BufferError),
        ({"row": None}, TypeError),
        ({"index": (0, 1, 2, 64)}, IndexError),
        ({"index": (-1, 1, 2, 3)}, IndexError),
        ({"index": (0, 1, 2)}, TypeError),
        ({"surplus": 1}, TypeError),
    ],
)
def test_wrong_arguments_of_a_pump(changed: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        new_pump(select("c"), **changed)
    with pytest.raises(TypeError):
        select("c").Pump()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((None, 2, b""), TypeError),
        (([None], 2, b""), TypeError),
        (([], 0, b""), ValueError),
        (([], 9, b""), ValueError),
        (([], 2, "text"), TypeError),
        (([], 2), TypeError),
    ],
)
def test_wrong_arguments_of_share(
    world: World, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        world.pump.share(*arguments)


def test_a_wire_of_another_pump(world: World) -> None:
    other = new_pump(select("c"))
    wire, _ = world.connect()
    with pytest.raises(TypeError, match="of this pump"):
        other.share([wire], 2, b"")
    with pytest.raises(TypeError, match="bound once"):
        wire.bind(other)
    with pytest.raises(ValueError, match="adopted once"):
        other.adopt(world.wire_type(world.pump), 0)


def test_a_socket_is_adopted_once(world: World) -> None:
    wire, _ = world.connect()
    with pytest.raises(ValueError, match="adopted once"):
        world.pump.adopt(wire, 0)
    with pytest.raises(OSError, match="exists"):
        world.pump.adopt(world.wire_type(world.pump), wire.fileno())
    with pytest.raises(ValueError, match="its own transport"):
        wire.attach(SimpleNamespace())


@pytest.mark.parametrize("fd", [-1, 1 << 20])
def test_no_descriptor_to_adopt(world: World, fd: int) -> None:
    wire = world.wire_type(world.pump)
    with pytest.raises(OSError, match="Bad file descriptor"):
        world.pump.adopt(wire, fd)
    assert not wire.is_attached
    assert not wire.calls


def test_a_file_is_not_adopted(world: World) -> None:
    with open(os.devnull, "rb") as file, pytest.raises(OSError, match="not permitted"):
        world.pump.adopt(world.wire_type(world.pump), file.fileno())


def test_a_closed_pump(world: World) -> None:
    pump = new_pump(select("c"))
    pump.close()
    pump.close()
    assert pump.fileno() == -1
    pump.turn()
    pump.after_turn()
    wire: Any = type("Wire", (Recorder, select("c").Wire), {})(pump)
    with pytest.raises(OSError, match="Bad file descriptor"):
        pump.adopt(wire, 0)


def test_a_connection_that_fails_to_be_made(world: World) -> None:
    def fail(transport: object) -> None:
        raise LookupError("made")

    wire, _ = world.connect()
    broken = world.wire_type(world.pump)
    broken.connection_made = fail
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        world.pump.adopt(broken, ours.detach())
        assert [str(error) for _, error in world.errors] == ["made"]
        broken.abort_wire()
        world.until(lambda: broken.count("lost"))
    assert wire.is_attached


def test_an_owner_that_raises(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What on_error raises is the interpreter's to print; without a loop nobody else is told."""
    seen: list[object] = []
    unraisable: list[object] = []

    def fail(wire: object, error: BaseException) -> None:
        seen.extend((wire, str(error)))
        raise LookupError("again")

    monkeypatch.setattr(sys, "unraisablehook", lambda told: unraisable.append(told.exc_value))
    pump = new_pump(select("c"), on_error=fail, call_soon=None)
    wire: Any = type("Wire", (Recorder, select("c").Wire), {})(pump)
    ours, theirs = socket.socketpair()
    with theirs:
        pump.adopt(wire, ours.detach())
        wire.abort_wire()
    assert seen == [None, "'NoneType' object is not callable"]
    assert [str(error) for error in unraisable] == ["again"]


# -- accept --------------------------------------------------------------------------------------


def test_accept(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        assert world.pump.accept(listening.fileno(), 16) == ([], 0)
        clients = [socket.create_connection(listening.getsockname()) for _ in range(5)]
        accepted, error = world.pump.accept(listening.fileno(), 3)
        assert (len(accepted), error) == (3, 0)
        for fd in accepted:
            assert not os.get_blocking(fd)
            assert not os.get_inheritable(fd)
            os.close(fd)
        rest, error = world.pump.accept(listening.fileno(), 16)
        assert (len(rest), error) == (2, 0)
        for fd in rest:
            os.close(fd)
        for client in clients:
            client.close()
    assert world.pump.accept(-1, 16) == ([], errno.EBADF)
    with pytest.raises(TypeError):
        world.pump.accept("x", 1)


def test_accept_without_descriptors(world: World) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        with socket.create_connection(listening.getsockname()):
            free = os.dup(listening.fileno())
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            try:
                assert world.pump.accept(listening.fileno(), 16) == ([], errno.EMFILE)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_addresses(world: World) -> None:
    wire, client = world.connect()
    assert wire.get_extra_info("peername") == client.getsockname()
    assert wire.get_extra_info("sockname") == client.getpeername()
    assert wire.get_extra_info("socket") is wire
    assert wire.get_extra_info("cipher") is None
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
