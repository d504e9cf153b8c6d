"""Sends by connection id: straight to a connection that takes them, all others by a router."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shardws import hotpath
from shardws.errors import UsageError
from shardws.net.pump import select
from shardws.outcomes import QUEUED
from tests.unit.net.pump.pump_fixture import BLOCKED_WIRE, CLOSING, World, out, worlds

world = worlds()
LARGE = 100_000  # bytes: referred to, not copied


class Routing:
    """Notes what it is to send, and sends it as a router does."""

    def __init__(self, by_id: dict[int, Any]) -> None:
        self.by_id = by_id
        self.calls: list[tuple[int, int, bytes]] = []

    def send(self, connection_id: int, kind: int, payload: bytes) -> Any:
        self.calls.append((connection_id, kind, payload))
        wire = self.by_id.get(connection_id)
        return "gone" if wire is None else wire.send(kind, payload)


class Sending:
    """A sender, its two routings, and one connection."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wire, self.client = world.connect()
        self.by_id = {self.wire.id: self.wire}
        self.here, self.elsewhere = Routing(self.by_id), Routing({})
        self.mark: Any = hotpath.implementation.ThreadMark()
        self.mark.ident = threading.get_ident()
        self.is_c = world.pump.owns_sockets
        module = select("c" if self.is_c else "python")
        self.sender: Any = type("Server", (module.Sender,), {"__slots__": ()})()
        self.route(self.by_id)

    def route(self, by_id: dict[int, Any] | None) -> None:
        self.sender.route(self.mark.choose, self.here, self.elsewhere, by_id)

    @property
    def is_direct(self) -> bool:
        """Whether no router is asked where that is not needed."""
        return self.is_c and hotpath.implementation.IMPLEMENTATION == "c"

    def received(self, size: int) -> bytes:
        return self.world.read(self.client, size)


@pytest.fixture
def sending(world: World) -> Sending:
    return Sending(world)


@pytest.mark.parametrize("payload", [b"", b"binary \xff", b"x" * 126, b"y" * LARGE])
def test_a_binary_message_is_queued(sending: Sending, payload: bytes) -> None:
    expected = out(payload)
    assert sending.sender.send(sending.wire.id, payload) is QUEUED
    assert sending.received(len(expected)) == expected
    assert sending.wire.size == len(payload)
    assert sending.world.counts[2:] == [1, len(expected)]
    assert sending.here.calls == ([] if sending.is_direct else [(sending.wire.id, 2, payload)])


@pytest.mark.parametrize("text", ["", "text", "\u00fc\U0001f600", "z" * LARGE, b"bytes \xc3\xbc"])
def test_a_text_message_is_queued(sending: Sending, text: str | bytes) -> None:
    payload = text if isinstance(text, bytes) else text.encode()
    expected = out(payload, 0x81)
    assert sending.sender.send_text(sending.wire.id, text) is QUEUED
    assert sending.received(len(expected)) == expected
    assert sending.here.calls == ([] if sending.is_direct else [(sending.wire.id, 1, payload)])


@pytest.mark.parametrize("data", [bytearray(b"data"), memoryview(b"data")])
def test_any_buffer_is_sent(sending: Sending, data: Any) -> None:
    assert sending.sender.send(sending.wire.id, data) is QUEUED
    assert sending.received(6) == out(b"data")


def test_arguments_by_name(sending: Sending) -> None:
    number = sending.wire.id
    assert sending.sender.send(connection_id=number, data=b"a") is QUEUED
    assert sending.sender.send(number, data=b"b") is QUEUED
    assert sending.sender.send_text(text="c", connection_id=number) is QUEUED
    assert sending.received(9) == out(b"a") + out(b"b") + out(b"c", 0x81)


@pytest.mark.parametrize(
    "call",
    [
        lambda sender: sender.send(1),
        lambda sender: sender.send(1, b"a", b"b"),
        lambda sender: sender.send(1, text="a"),
        lambda sender: sender.send(1, connection_id=1),
        lambda sender: sender.send(1, b"a", data=b"a"),
        lambda sender: sender.send_text(1, data=b"a"),
        lambda sender: sender.send_text(),
    ],
)
def test_wrong_arguments(sending: Sending, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        call(sending.sender)
    assert not sending.here.calls


@pytest.mark.parametrize("data", ["text", 5, None, [1]])
def test_what_is_no_data(sending: Sending, data: Any) -> None:
    with pytest.raises(UsageError, match="bytes or a buffer"):
        sending.sender.send(sending.wire.id, data)


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"ok \xed\xa0\x80", "\ud800", 5])
def test_what_is_no_text(sending: Sending, text: Any) -> None:
    with pytest.raises(UsageError) as told:
        sending.sender.send_text(sending.wire.id, text)
    assert told.value.code == 213
    assert sending.wire.queued == 0


@pytest.mark.parametrize("number", [0, -1, 1 << 70, "1", None, 1.0, True])
def test_an_id_that_is_not_here_goes_to_the_router(sending: Sending, number: Any) -> None:
    """Also what equals an id and is none: the router says what becomes of it."""
    sending.sender.send(number, b"a")
    assert sending.here.calls == [(number, 2, b"a")]


@pytest.mark.parametrize("name", ["closing", "full", "not plain", "held"])
def test_what_is_not_framed_here_goes_to_the_router(sending: Sending, name: str) -> None:
    wire = sending.wire
    if name == "closing":
        wire.state = CLOSING
    elif name == "not plain":
        wire.is_plain = False
    else:
        wire.blocked = BLOCKED_WIRE if name == "full" else 2
    assert sending.sender.send(wire.id, b"a") == "slowly"
    assert sending.sender.send_text(wire.id, "b") == "slowly"
    assert sending.here.calls == [(wire.id, 2, b"a"), (wire.id, 1, b"b")]
    assert wire.calls[-2:] == [("slowly", 2, b"a"), ("slowly", 1, b"b")]


def test_a_router_that_does_more_is_always_asked(sending: Sending) -> None:
    """As that of a program that calls do_events: its sends may block."""
    sending.route(None)
    assert sending.sender.send(sending.wire.id, b"a") is QUEUED
    assert sending.here.calls == [(sending.wire.id, 2, b"a")]


def test_another_thread_has_another_router(sending: Sending) -> None:
    thread = threading.Thread(target=sending.sender.send, args=(sending.wire.id, b"a"))
    thread.start()
    thread.join()
    assert sending.elsewhere.calls == [(sending.wire.id, 2, b"a")]
    assert not sending.here.calls
    assert sending.wire.queued == 0


def test_a_mark_of_no_thread(sending: Sending) -> None:
    """A forked child is the loop's thread no more: what it sent would reach the client."""
    sending.mark.ident = 0
    sending.sender.send(sending.wire.id, b"a")
    assert sending.elsewhere.calls == [(sending.wire.id, 2, b"a")]
    assert sending.wire.queued == 0


def test_any_order_of_ways_to_send_is_kept(sending: Sending) -> None:
    sender, wire = sending.sender, sending.wire
    sender.send(wire.id, b"1")
    wire.append(0x82, b"2", True)
    sender.send_text(wire.id, "3")
    sending.world.pump.share([wire], 2, b"4")
    sender.send(wire.id, bytearray(b"5"))
    expected = out(b"1") + out(b"2") + out(b"3", 0x81) + out(b"4") + out(b"5")
    assert sending.received(len(expected)) == expected


def test_the_connection_may_be_lost_inside_a_send(sending: Sending) -> None:
    """A mark is told inside the send, and its callback may do anything."""
    wire, number = sending.wire, sending.wire.id
    wire.high_mark = 10

    def pause() -> None:
        sending.by_id.clear()
        wire.abort_wire()

    wire.pause_writing = pause
    for _ in range(100):
        if sending.sender.send(number, bytes(LARGE)) is not QUEUED:
            break
    sending.world.until(lambda: wire.count("lost"))
    assert sending.here.calls[-1:] in ([], [(number, 2, bytes(LARGE))])


def test_by_id_is_a_dict(sending: Sending) -> None:
    if not sending.is_c:
        pytest.skip("in Python nothing looks into it")
    with pytest.raises(TypeError, match="dict or None"):
        sending.route([])  # type: ignore[arg-type]


def test_references(sending: Sending) -> None:
    sender, wire = sending.sender, sending.wire
    payload, text, other = b"p" * 500, "t\u00fc" * 100, bytearray(b"o")
    things = [wire, wire.id, payload, text, other, QUEUED, sending.here, sending.by_id]

    def turn() -> None:
        sender.send(wire.id, payload)
        sender.send_text(wire.id, text)
        sender.send_text(wire.id, payload)
        sender.send(wire.id, other)
        sending.route(sending.by_id)
        with pytest.raises(UsageError):
            sender.send_text(wire.id, b"\xff")
        sending.received(2 * 504 + 304 + 3)
        sending.here.calls.clear()

    turn()
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(100):
        turn()
    after = [sys.getrefcount(thing) for thing in things]
    changes = [new - old for new, old in zip(after, before, strict=True)]
    assert all(abs(change) < 50 for change in changes), changes


def test_both_implementations_say_the_same() -> None:
    documented = [select(name).Sender for name in ("", "python")]
    for name in ("send", "send_text"):
        assert len({getattr(kind, name).__doc__ for kind in documented}) == 1
