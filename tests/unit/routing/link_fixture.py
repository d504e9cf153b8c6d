"""One link on a transport made of lists, and an owner that keeps what it is told."""

import asyncio
from typing import Any, cast

from shardws.outcomes import Outcome
from shardws.routing.links_twin import HEAD
from shardws.routing.outbound_link import OutboundLink
from shardws.stats import Stats
from shardws.wire import messages as m
from shardws.wire.codec import Decoder, encode

MARK = 1000
LIMIT = 5000
GREETING = encode(m.GOODBYE)  # anything that is recognised


class FakeTransport:
    """Takes what fits into `room`, keeps the rest, and tells the protocol as asyncio does."""

    def __init__(self, link: OutboundLink, room: int = 1 << 30) -> None:
        self.link = link
        self.room = room
        self.writes: list[bytes] = []
        self.kept = 0
        self.marks: int | None = None
        self.is_closed = False
        self.is_aborted = False

    def set_write_buffer_limits(self, high: int) -> None:
        self.marks = high

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.writes.append(data)
        taken = min(self.room, len(data))
        self.room -= taken
        self.kept += len(data) - taken
        if self.kept:
            self.link.pause_writing()

    def drain(self) -> None:
        self.kept = 0
        self.link.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.kept

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


class FakeOwner:
    """Keeps what a link tells its mesh."""

    def __init__(self) -> None:
        self.dirty: list[OutboundLink] = []
        self.reasons: list[str] = []

    def flush_soon(self, link: OutboundLink) -> None:
        self.dirty.append(link)

    def turn(self) -> None:
        dirty, self.dirty = self.dirty, []
        for link in dirty:
            link.flush()

    def greeting(self, link: OutboundLink) -> bytes:
        return GREETING

    def link_down(self, link: OutboundLink, reason: str) -> None:
        self.reasons.append(reason)
        link.ledger.close()


class Sink:
    """Keeps what a link tells its shard."""

    def __init__(self) -> None:
        self.failed: list[tuple[int, Outcome]] = []
        self.ready: list[int] = []

    def send_failed(self, connection_id: int, outcome: Outcome) -> None:
        self.failed.append((connection_id, outcome))

    def stream_failed(self, connection_id: int, code: int, description: str) -> None: ...

    def sends_lost(self, count: int) -> None:
        raise AssertionError("a link does not tell that")

    def ready_to_send(self, connection_id: int) -> None:
        self.ready.append(connection_id)

    def reply(self, connection_id: int, what: str) -> bytes | None:
        raise AssertionError("a link does not ask that")


class LinkFixture:
    """A link, its owner, and a transport for when it comes up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, mark: int = MARK) -> None:
        self.owner = FakeOwner()
        self.sink = Sink()
        self.row = Stats(1).row(0)
        self.link = OutboundLink(
            self.owner, self.sink, 1, loop, self.row, high_mark=mark, frame_limit=LIMIT
        )
        self.transport = FakeTransport(self.link)

    def up(self, room: int = 1 << 30) -> "LinkFixture":
        self.transport.room = room
        self.link.connection_made(cast(asyncio.Transport, self.transport))
        return self

    def send(self, size: int, connection_id: int = 1) -> Outcome | None:
        return self.link.deliver(connection_id, 2, bytes(size - HEAD)).outcome

    def sent(self) -> list[tuple[Any, ...]]:
        return Decoder(1 << 20, m.SHARD).feed(b"".join(self.transport.writes))[1:]
