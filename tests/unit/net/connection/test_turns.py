"""A connection's turns: what it does in one, when it is not read, what it holds, and its end.

The clock stands still: nothing here depends on how long anything takes.
"""

import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shardws.events import DataIn
from shardws.net.connection import Connection
from shardws.net.connection.connection import (
    LINGER_BYTES,
    LONG_READ,
    LONGEST_END_S,
    MOST_KEPT,
)
from shardws.net.connection.states import CLOSING, HOLD_TASK, LOST, OPEN
from shardws.net.pump import Pump
from shardws.outcomes import QUEUED
from shardws.protocol import slices
from shardws.protocol.deflate import Profile, negotiate
from shardws.protocol.session import Item, Session, SessionConfig
from shardws.stats import Stats
from tests.unit.protocol.client_frames import close, frame

READ = 256_000
MIB = 1 << 20


class Wire:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.is_reading = True
        self.sent = b""
        self.ends = 0
        self.pauses = 0
        self.waiting = 0  # bytes that the kernel has not taken

    def write(self, data: bytes) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False
        self.pauses += 1

    def resume_reading(self) -> None:
        self.is_reading = True

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str, default: object = None) -> None:
        return None

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.ends += 1

    write_eof = abort = close


class Counters:
    def received(self, messages: int, size: int) -> None: ...
    def sent(self, messages: int, size: int) -> None: ...


def raise_it(_wire: object, error: BaseException) -> None:
    raise error


class Owner:
    """A shard that notes what it is told."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(close_timeout=10.0, idle_timeout=0.0)
        self.counters = Counters()
        self.row = Stats(1).row(0)
        self.calls: list[Callable[[], None]] = []
        self.pump = Pump(
            handlers=None,
            dispatch=None,
            event_type=DataIn,
            queued=QUEUED,
            row=self.row,
            index=(0, 1, 2, 3),
            call_soon=self.calls.append,
            time=lambda: 100.0,
            on_error=raise_it,
        )
        self.now = 100.0
        self.awake_since = 0.0
        self.told: list[list[Item]] = []
        self.sizes: list[int] = []
        self.waiting: list[Connection] = []
        self.ends: list[int] = []
        self.reasons: list[str] = []
        self.early_ends: list[int] = []
        self.times_left = 0
        self.task_begins_at = 0  # with which of the items told an async handler begins

    def received(self, connection: Connection, items: list[Item], size: int) -> None:
        self.told.append(items)
        self.sizes.append(size)
        if self.task_begins_at and len(self.told) == self.task_begins_at:
            connection.holds |= HOLD_TASK
            connection.wait()
        for item in items:
            if item[0] == 9:
                connection.take_reply()

    def wait_turn(self, connection: Connection) -> None:
        assert connection not in self.waiting
        self.waiting.append(connection)

    def turn(self) -> None:
        """Give who waits a turn."""
        waiting, self.waiting = self.waiting, []
        for connection in waiting:
            connection.take_turn()

    def holding(self, connection: Connection) -> None: ...
    def wake_at(self, connection: Connection, due: float) -> None: ...
    def left(self, connection: Connection) -> None:
        self.times_left += 1

    def ended(self, connection: Connection, ending: Any) -> None:
        self.early_ends.append(ending.code)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.calls.append(callback)

    def run_calls(self) -> None:
        """Run what was to run soon."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()

    @property
    def has_left(self) -> bool:
        return self.times_left > 0

    def lost(self, connection: Connection, ending: Any) -> None:
        self.ends.append(ending.code)
        self.reasons.append(ending.reason)

    @property
    def items(self) -> list[Item]:
        return [item for items in self.told for item in items]


def opened(**config: Any) -> tuple[Connection, Owner, Wire]:
    owner, wire = Owner(), Wire()
    connection = Connection(cast(Any, owner))
    connection.attach(cast(Any, wire))
    connection.state = OPEN
    connection.stops = 0
    connection.was_opened = True
    agreed = negotiate("permessage-deflate", Profile("shared"))
    assert agreed is not None
    connection.session = Session(SessionConfig(**config), agreed[1])
    return connection, owner, wire


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers take no time."""
    monkeypatch.setattr("shardws.net.connection.connection.time.monotonic", lambda: 100.0)


def pack(plain: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


FLOODS = {
    "messages that inflate": (b"", frame(0xC2, pack(bytes(MIB - 100)))),
    "compressed messages of two fragments": (b"", frame(0x42, b"\x00") + frame(0x80)),
    "empty pings": (b"", frame(0x89)),
    "pongs": (b"", frame(0x8A)),
    "empty fragments": (frame(0x02), frame(0x00)),
    "fragments of one byte": (frame(0x02), frame(0x00, b"x")),
    "messages of one byte": (b"", frame(0x82, b"x")),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_one_slice_a_turn_and_not_read_meanwhile(name: str) -> None:
    """One read of a flood was worked in one go, and then the next was read (S01)."""
    begin, unit = FLOODS[name]
    connection, owner, wire = opened()
    connection.data_received(begin + unit * (READ // len(unit)))
    told = len(owner.items)
    for _ in range(3):
        assert told <= slices.ITEMS
        assert sum(len(item[1]) for item in owner.items[-told:]) <= MIB or not told
        assert not wire.is_reading
        assert owner.waiting == [connection]
        before = len(owner.items)
        owner.turn()
        told = len(owner.items) - before


@pytest.mark.parametrize("name", ["empty pings", "pongs", "empty fragments"])
def test_a_storm_ends_with_1008(name: str) -> None:
    begin, unit = FLOODS[name]
    connection, owner, wire = opened()
    connection.data_received(begin + unit * (READ // len(unit)))
    turns = 0
    while owner.waiting:
        owner.turn()
        turns += 1
    assert turns <= 2 * slices.BURST // slices.FIRST_ITEMS
    assert connection.session is not None
    assert connection.session.ending is not None
    assert connection.session.ending.code == 1008
    assert wire.sent[-2 - 40 :].find((1008).to_bytes(2)) >= 0
    assert len(owner.items) <= slices.BURST + slices.ITEMS


def test_all_of_a_read_is_told_in_order() -> None:
    connection, owner, wire = opened()
    count = 1000
    connection.data_received(b"".join(frame(0x82, b"%d" % number) for number in range(count)))
    while owner.waiting:
        owner.turn()
    assert [int(item[1]) for item in owner.items] == list(range(count))
    assert sum(owner.sizes) == sum(len(frame(0x82, b"%d" % number)) for number in range(count))
    assert wire.is_reading


def test_a_long_read_ends_the_turn_though_nothing_is_left_of_it() -> None:
    """libuv reads one socket up to 32 times in a row, as long as the buffer is filled."""
    connection, owner, wire = opened()
    connection.data_received(frame(0x82, bytes(LONG_READ)))
    assert wire.pauses == 1
    owner.turn()
    assert wire.is_reading
    connection.data_received(frame(0x82, bytes(1000)))
    assert wire.is_reading
    assert not owner.waiting


# -- while a handler runs ------------------------------------------------------------------------


def test_behind_an_async_handler_nothing_is_inflated() -> None:
    """A read of 250 KB was inflated to 245 MiB before its first message was told (S05)."""
    begin, unit = FLOODS["messages that inflate"]
    connection, owner, _ = opened()
    owner.task_begins_at = 1
    connection.data_received(begin + unit * (READ // len(unit)))
    connection.data_received(unit * 100)
    owner.turn()
    assert len(owner.items) == 1
    assert not owner.waiting
    connection.holds = 0
    connection.go_on()
    for told in range(2, 10):
        owner.turn()
        assert len(owner.items) == told


def test_what_is_read_ahead_is_bounded_and_then_worked() -> None:
    connection, owner, wire = opened()
    owner.task_begins_at = 1
    connection.data_received(frame(0x82, b"first"))
    one = frame(0x82, bytes(1000))
    sent = 0
    while wire.is_reading:
        connection.data_received(one)
        sent += 1
    assert connection.extras is not None
    assert MOST_KEPT <= len(connection.extras.raw) < MOST_KEPT + len(one)
    assert len(owner.items) == 1
    connection.holds = 0
    connection.go_on()
    while owner.waiting:
        owner.turn()
    assert len(owner.items) == 1 + sent
    assert wire.is_reading


def test_a_close_frame_is_seen_while_a_handler_runs_once_ours_is_out() -> None:
    """CloseTimeout ended with 1006 what the peer had closed in good order (F01)."""
    connection, owner, _ = opened()
    owner.task_begins_at = 1
    connection.data_received(frame(0x82, b"first") + frame(0x82, b"second") * 200)
    connection.data_received(close(1001))
    connection.disconnect(1001, "")
    assert connection.state == CLOSING
    while owner.waiting:
        owner.turn()
    assert connection.session is not None
    assert connection.session.ending is not None
    assert connection.session.ending.is_clean


# -- a client that leaves ------------------------------------------------------------------------


def test_what_came_before_the_end_is_told_before_it() -> None:
    connection, owner, _ = opened()
    connection.data_received(frame(0x82, b"x") * 100)
    connection.eof_received()
    connection.connection_lost(None)
    assert connection.state == LOST
    assert owner.has_left
    assert owner.ends == []
    while owner.waiting:
        owner.turn()
    assert len(owner.items) == 100
    assert owner.ends == [1006]
    connection.go_on()
    assert owner.ends == [1006]


def test_a_close_frame_that_came_before_the_end_counts() -> None:
    connection, owner, _ = opened()
    owner.task_begins_at = 1
    connection.data_received(frame(0x82, b"x"))
    connection.data_received(frame(0x82, b"y") + close(4000, "bye"))
    connection.eof_received()
    connection.connection_lost(None)
    assert owner.ends == []
    connection.holds = 0
    connection.go_on()
    owner.turn()
    assert [item[1] for item in owner.items if item[0] == 2] == [b"x", b"y"]
    assert owner.ends == [4000]


def test_the_end_is_told_at_once_when_nothing_waits() -> None:
    connection, owner, _ = opened()
    owner.task_begins_at = 1
    connection.data_received(frame(0x82, b"x"))
    connection.connection_lost(None)
    assert owner.ends == [1006]
    connection.holds = 0
    connection.go_on()
    assert owner.ends == [1006]


def test_a_lost_connection_that_is_aborted_tells_its_end_and_no_more() -> None:
    """A drain at its deadline would else wait for what is told no more."""
    connection, owner, _ = opened()
    connection.data_received(frame(0x82, b"x") * 100)
    connection.connection_lost(None)
    connection.abort()
    assert owner.ends == [1006]
    owner.turn()
    assert owner.ends == [1006]
    assert len(owner.items) == slices.FIRST_ITEMS


def test_an_end_in_tls_waits_for_what_came_before_it() -> None:
    connection, owner, _ = opened()
    connection.data_received(frame(0x82, b"x") * 100)
    connection.broken("TLS: it broke")
    connection.connection_lost(None)
    while owner.waiting:
        owner.turn()
    assert len(owner.items) == 100
    assert connection.session is not None
    assert connection.session.ending is not None
    assert connection.session.ending.reason == "TLS: it broke"


def test_the_end_of_the_websocket_is_told_before_that_of_tcp_and_once() -> None:
    connection, owner, _ = opened()
    connection.data_received(close(1000))
    assert (owner.times_left, owner.early_ends) == (0, [])
    owner.run_calls()
    assert (owner.times_left, owner.early_ends) == (1, [1000])
    session, connection.session = connection.session, None  # forgotten, while TCP lingers
    connection.data_received(frame(0x82, b"late"))
    assert owner.items == [(8, b"", True)]
    connection.session = session
    connection.connection_lost(None)
    owner.run_calls()
    assert (owner.times_left, owner.early_ends, owner.ends) == (1, [1000], [1000])
    assert connection.is_told


def test_an_end_of_tcp_that_overtakes_that_of_the_websocket_is_the_only_one() -> None:
    connection, owner, _ = opened()
    connection.data_received(close(1001))
    connection.connection_lost(None)
    owner.run_calls()
    assert (owner.times_left, owner.early_ends, owner.ends) == (1, [], [1001])
    assert not connection.is_told


def test_what_came_before_the_end_is_told_though_tcp_outlives_its_deadline() -> None:
    """The deadline of the end dropped what was read: 16 of 300 messages were told."""
    connection, owner, wire = opened()
    connection.data_received(frame(0x82, b"x") * 300)
    connection.eof_received()
    connection.expire(connection.deadline + 1.0)
    assert wire.ends == 1
    connection.connection_lost(None)
    while owner.waiting:
        owner.turn()
    assert len(owner.items) == 300
    assert owner.ends == [1006]


def test_a_close_has_an_end_however_long_a_slow_reader_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CloseTimeout began again as long as bytes left: by 64 KiB each time, for ever."""
    connection, owner, wire = opened()
    clock = [100.0]
    monkeypatch.setattr("shardws.net.connection.connection.time.monotonic", lambda: clock[0])
    wire.waiting = 1 << 40
    connection.disconnect(1000, "")
    limit = clock[0] + owner.config.close_timeout + LONGEST_END_S
    for _ in range(100):
        if wire.ends:
            break
        assert connection.deadline <= limit
        clock[0] = owner.now = connection.deadline
        wire.waiting -= LINGER_BYTES
        connection.expire(owner.now)
    assert clock[0] == limit
    assert wire.ends == 1
    connection.connection_lost(None)
    assert owner.ends == [1006]
    assert owner.reasons == ["no close frame within CloseTimeout"]


def test_what_a_connection_raises_into_its_transport_is_told_as_ours() -> None:
    connection, owner, _ = opened()
    connection.connection_lost(ValueError())
    assert owner.reasons == ["an internal error of the server"]
