"""multipart: order, bounds and endings of messages in parts, with a stand-in connection."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest

from shardws.errors import StateError, UsageError
from shardws.net.config import ConnectionConfig, Policy
from shardws.net.connection.multipart import (
    MOST_CONTROLS,
    MOST_STREAMS,
    STREAM_TURN_BYTES,
    UNFINISHED,
    Multipart,
)
from shardws.net.connection.parts import PIECE_BYTES
from shardws.net.connection.states import BLOCKED_PARTS, BLOCKED_WIRE, LOST, OPEN
from shardws.outcomes import QUEUED, FailedSend, LaterSend, Outcome, SendOutcome
from shardws.protocol.handshake import HandshakeConfig
from shardws.protocol.keepalive import Keepalive
from shardws.protocol.session import Session, SessionConfig
from shardws.stats import SENDS_FAILED, Stats

TEXT, BINARY, PING = 1, 2, 9
HIGH_MARK, LOW_MARK = 100, 20
NOTHING_YET = (None,) * 100
CONFIG = ConnectionConfig(
    SessionConfig(), HandshakeConfig(), Keepalive(), HIGH_MARK, LOW_MARK, Policy.WAIT, 0, 0, 0
)


class Shard:
    def __init__(self) -> None:
        self.row = Stats(1).row(0)
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)


class Wire:
    """A connection that keeps what is put into it."""

    def __init__(self, policy: Policy = Policy.WAIT) -> None:
        self.blocked = 0
        self.state = OPEN
        self.config = dataclasses.replace(CONFIG, policy=policy)
        self.session = Session(SessionConfig())
        self.owner = Shard()
        self.sent: list[tuple[int, bytes, bool, bool]] = []
        self.drains = 0
        self.closed = 0
        self.codes: list[int] = []

    def put(self, kind: int, payload: bytes, is_first: bool = True, is_last: bool = True) -> None:
        self.sent.append((kind, bytes(payload), is_first, is_last))

    def flush(self) -> None: ...

    def refuse_send(self) -> SendOutcome:
        return FailedSend(1, Outcome.FULL, lambda connection_id, outcome: None)

    def disconnect(self, code: int, reason: str) -> SendOutcome:
        self.closed = code
        return QUEUED

    def drained(self) -> None:
        self.drains += 1

    def stream_failed(self, code: int, description: str) -> None:
        self.codes.append(code)


class Pieces:
    """A source of the given answers to `read`."""

    def __init__(self, *pieces: bytes | OSError | None) -> None:
        self.pieces = list(pieces)
        self.wake: Callable[[], None] = lambda: None
        self.outcome: Outcome | None = None

    def read(self, limit: int) -> bytes | None:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece

    def finish(self, outcome: Outcome) -> None:
        self.outcome = outcome


def later() -> LaterSend:
    return LaterSend(1, lambda connection_id, outcome: None)


def start(multipart: Multipart, *pieces: Any, kind: int = BINARY) -> Pieces:
    source = Pieces(*pieces)
    multipart.stream(kind, cast(Any, source), later())
    return source


def test_a_stream_ends_with_its_last_piece_and_the_connection_is_free() -> None:
    wire = Wire()
    source = start(Multipart(wire), b"ab", b"cd")
    assert wire.sent == [(BINARY, b"ab", True, False), (BINARY, b"cd", False, True)]
    assert source.outcome is Outcome.QUEUED
    assert not wire.blocked


def test_what_is_sent_meanwhile_waits_and_a_ping_does_not() -> None:
    wire = Wire()
    multipart = Multipart(wire)
    source = start(multipart, b"ab", b"cd", None, b"ef")
    assert wire.blocked == BLOCKED_PARTS
    assert multipart.send(TEXT, b"after", True) is QUEUED
    assert multipart.send_control(PING, b"now") is QUEUED
    assert multipart.waiting == len(b"after") + 1
    source.wake()
    assert [payload for _, payload, *_ in wire.sent] == [b"ab", b"now", b"cd", b"ef", b"after"]
    assert not wire.blocked


def test_a_stream_leaves_the_loop_to_others_after_a_turn_of_bytes() -> None:
    wire = Wire()
    source = start(Multipart(wire), *[bytes(PIECE_BYTES)] * 10)
    assert len(wire.sent) == STREAM_TURN_BYTES // PIECE_BYTES
    while wire.owner.soon:
        wire.owner.soon.pop()()
    assert len(wire.sent) == 10
    assert source.outcome is Outcome.QUEUED


def test_a_full_wire_stops_a_stream() -> None:
    wire = Wire()
    wire.blocked = BLOCKED_WIRE
    multipart = Multipart(wire)
    start(multipart, b"ab")
    assert wire.sent == []
    wire.blocked &= ~BLOCKED_WIRE
    multipart.go_on()
    assert wire.sent == [(BINARY, b"ab", True, True)]
    assert wire.drains == 1  # who was refused before the stream came


def test_what_waits_is_bounded_in_bytes_and_the_refused_are_told() -> None:
    wire = Wire()
    multipart = Multipart(wire)
    source = start(multipart, b"ab", None)
    assert multipart.send(TEXT, bytes(HIGH_MARK), False) is QUEUED
    assert multipart.send(TEXT, b"x", False).outcome is Outcome.FULL
    source.wake()
    assert wire.drains == 1


def test_by_policy_drop_the_oldest_message_makes_room() -> None:
    wire = Wire(Policy.DROP)
    multipart = Multipart(wire)
    source = start(multipart, b"ab", None)
    for payload in (bytes(60), b"b" * 60):
        assert multipart.send(TEXT, payload, False) is QUEUED
    assert wire.owner.row[SENDS_FAILED] == 1
    source.wake()
    assert [payload for _, payload, *_ in wire.sent] == [b"ab", b"b" * 60]


def test_streams_and_pings_that_wait_are_bounded() -> None:
    wire = Wire()
    multipart = Multipart(wire)
    start(multipart, *NOTHING_YET)
    for _ in range(MOST_STREAMS):
        start(multipart, b"x")
    assert start(multipart, b"x").outcome is Outcome.FULL
    wire.blocked |= BLOCKED_WIRE
    for _ in range(MOST_CONTROLS):
        assert multipart.send_control(PING, b"") is QUEUED
    assert multipart.send_control(PING, b"").outcome is Outcome.FULL


@pytest.mark.parametrize(
    ("kind", "pieces", "code", "closed"),
    [
        (BINARY, [OSError("gone")], 213, 0),
        (BINARY, [b"ab", b"cd", OSError("gone")], 213, UNFINISHED),
        (TEXT, [b"\xff"], 213, 0),
        (PING, [bytes(126)], 213, 0),
    ],
)
def test_a_source_that_fails_closes_what_has_begun(
    kind: int, pieces: list[Any], code: int, closed: int
) -> None:
    wire = Wire()
    source = start(Multipart(wire), *pieces, kind=kind)
    assert source.outcome is Outcome.DROPPED
    assert wire.codes == [code]
    assert wire.closed == closed


def test_a_source_may_be_a_ping() -> None:
    wire = Wire()
    source = start(Multipart(wire), b"ping", kind=PING)
    assert wire.sent == [(PING, b"ping", True, True)]
    assert source.outcome is Outcome.QUEUED


def test_an_announced_message_is_made_of_sends() -> None:
    wire = Wire()
    multipart = Multipart(wire)
    multipart.announce(3)
    assert multipart.announced == 3
    assert multipart.send(TEXT, b"ab", True) is QUEUED
    with pytest.raises(StateError):
        multipart.announce(5)
    with pytest.raises(UsageError, match="more than the 3"):
        multipart.send(TEXT, b"cd", True)
    with pytest.raises(UsageError, match="all text or all binary"):
        multipart.send(BINARY, b"c", True)
    assert multipart.send(TEXT, b"c", True) is QUEUED
    assert wire.sent == [(TEXT, b"ab", True, False), (TEXT, b"c", False, True)]
    assert multipart.announced == wire.blocked == 0


def test_at_the_end_of_the_connection_every_stream_is_told() -> None:
    wire = Wire()
    multipart = Multipart(wire)
    sources = [start(multipart, *NOTHING_YET), start(multipart, b"x")]
    multipart.send(TEXT, b"after", False)
    wire.state = LOST
    multipart.cancel()
    assert [source.outcome for source in sources] == [Outcome.DROPPED] * 2
    assert multipart.waiting == 0
