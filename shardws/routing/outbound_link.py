"""One link to one peer: what this shard sends to it, and the replies it gives it.

Owns the bound of a link's queue and its flow; the mesh decides which peers there are. The queue,
and `deliver`, which puts a message for one connection into it, are the base class (`links`). A link
is one connection to one process: it is DIALING (messages queue up), then UP, then down for good;
the mesh replaces it with another one.

Facts to have before reading:
- All messages of one loop turn go out in one write. There is no timer: a lone message goes out at
  the end of its turn.
- The transport's high mark is 0: `pause_writing` means that the kernel did not take everything.
  While paused nothing is written, messages gather here, and the bound counts both.
- `high_mark` bounds messages in bytes; the next one is FULL (a single one of any size up to
  the frame limit is taken by an empty queue). Replies (RESULT, SYNCED ...) may fill the queue up
  to twice that; beyond that the link is closed, as two shards that each wait for the other to read
  would wait for ever.
- A dial that did not succeed for some seconds is given up: what waited is UNREACHABLE, and so is
  what is sent to the link that is dialed next, until it is up (`is_given_up`).
"""

import asyncio
from typing import Final, Protocol, cast

from shardws.errors import UsageError
from shardws.outcomes import FailedSend, Outcome, SendOutcome
from shardws.routing.handover import Handover, end_all
from shardws.routing.ledger import Ledger, PendingSend
from shardws.routing.links import Queue
from shardws.routing.tail import Tail
from shardws.stats import LINKS_OUT, Words
from shardws.wire.codec import HEADER, encode
from shardws.wire.messages import GOODBYE, SYNC

REPLY_HEAD: Final = 64  # bytes at most before the content of a REPLY
MAX_REFUSED: Final = 16_384  # ids that are reported ready after a FULL of the link itself


class OutboundLinkOwner(Protocol):
    """What a link requires of the mesh."""

    def flush_soon(self, link: "OutboundLink") -> None: ...
    def greeting(self, link: "OutboundLink") -> bytes: ...
    def link_down(self, link: "OutboundLink", reason: str) -> None: ...


class LinkSink(Protocol):
    """What a link reports to those who send on it."""

    def send_failed(self, connection_id: int, outcome: Outcome) -> None: ...
    def ready_to_send(self, connection_id: int) -> None: ...


class OutboundLink(Queue, asyncio.Protocol):
    """The link to one process; see the module docstring."""

    ledger: Ledger

    def __init__(
        self,
        owner: OutboundLinkOwner,
        sink: LinkSink,
        incarnation: int,
        loop: asyncio.AbstractEventLoop,
        row: Words,
        *,
        high_mark: int,
        frame_limit: int,
        first: int = 1,
        backoff: float = 0.0,
        is_given_up: bool = False,
    ) -> None:
        super().__init__(Ledger(first, loop.create_future, loop.time, self.wake), PendingSend)
        self._owner = owner
        self._sink = sink
        self.incarnation = incarnation
        self.backoff = backoff  # seconds to wait before the next dial
        self.up_at = 0.0
        self.is_up = False
        self.is_down = False
        self.is_given_up = is_given_up  # not dialed in time; nothing is taken until it is up
        self.handovers: list[Handover] = []  # of messages to many that wait for the dial
        self.refused: dict[int, None] = {}  # told ready when this queue has drained
        self.full: dict[int, None] = {}  # FULL at the peer, READY_TO_SEND is to come
        self.closed: asyncio.Future[None] = loop.create_future()  # nothing is open any more
        self._loop = loop
        self._row = row
        self._high_mark = high_mark
        self._frame_limit = frame_limit
        self._transport: asyncio.Transport | None = None  # None when nothing may be written
        self._leaving: asyncio.Transport | None = None  # still being flushed after leave()
        self.room = -1 if is_given_up else min(high_mark, frame_limit)
        self._is_paused = False
        self.flush_comes = True  # connection_made brings the first one
        self._tail = Tail(loop, self.ledger)

    # -- what is sent ------------------------------------------------------------------------

    def count(self, connection_id: int, frame: bytes) -> SendOutcome:
        """Queue another countable message: CLOSE, GROUP_JOIN, GROUP_LEAVE."""
        if not self.offer(frame):
            return self.refuse(connection_id)
        self.ledger.last += 1
        return PendingSend(self.ledger, self.ledger.last)

    def offer(self, frame: bytes, fanouts: int = 0) -> bool:
        """Queue a message without a number; False when it cannot be: see `refusal`."""
        if self.waiting + len(frame) > self.room and not self.has_room(len(frame)):
            return False
        self.ledger.fanouts += fanouts  # 1 for a message to many
        self.put(frame)
        return True

    def reply(self, frame: bytes) -> None:
        """Queue what must not be lost: replies, and news of groups."""
        if self.is_down:
            return
        self.put(frame)
        if self.waiting > 2 * self._high_mark and self.queued > 2 * self._high_mark:
            self.abort("it does not read its replies")

    def ask(self) -> None:
        """Have everything so far confirmed."""
        if self.ledger.has_tail and not self.is_down:
            self.put(encode(SYNC, self.ledger.ask()))

    @property
    def link(self) -> "OutboundLink":
        """This link (owners.Target)."""
        return self

    def onward(self, connection_id: int, sender: int) -> "OutboundLink | None":
        """Return this link, unless it leads to `sender` (owners.Route)."""
        return self if sender != self.incarnation else None

    @property
    def reply_room(self) -> int:
        """Bytes that a long reply may have now, so that room is left for short ones."""
        return min(self._high_mark - self.queued, self._frame_limit - REPLY_HEAD)

    @property
    def queued(self) -> int:
        """Bytes waiting here and in the transport."""
        return self.waiting + self._in_transport

    # -- the queue ---------------------------------------------------------------------------

    @property
    def _in_transport(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def has_room(self, size: int) -> bool:
        """Check the bound in full; UsageError (213) for a message that no link can carry."""
        if size - HEADER.size > self._frame_limit:
            raise UsageError(
                f"a message of {size} bytes with its head is too large to go to another shard; "
                f"the limit is {self._frame_limit}",
                code=213,
            )
        if self.is_down or self.is_given_up:
            return False
        in_transport = self._in_transport
        self.room = min(self._high_mark - in_transport, self._frame_limit)
        queued = self.waiting + in_transport
        return queued == 0 or queued + size <= self._high_mark

    @property
    def refusal(self) -> Outcome:
        """The outcome of a message that cannot be queued now."""
        is_unreachable = self.is_down or self.is_given_up
        return Outcome.UNREACHABLE if is_unreachable else Outcome.FULL

    def refuse(self, connection_id: int) -> SendOutcome:
        """Return the outcome of what was not queued; ready_to_send follows a FULL."""
        outcome = self.refusal
        if outcome is Outcome.FULL and len(self.refused) < MAX_REFUSED:
            self.refused[connection_id] = None
        return FailedSend(connection_id, outcome, self._sink.send_failed)

    def wake(self) -> None:
        if not self.flush_comes:
            self.flush_comes = True
            self._owner.flush_soon(self)

    def flush(self) -> None:
        """Write what has gathered."""
        transport = self._transport
        if transport is None or self._is_paused or transport.is_closing():
            return  # connection_made, resume_writing or connection_lost comes next
        self.flush_comes = True  # this one, also of a SYNC
        ledger = self.ledger
        if ledger.wants_sync:
            self.put(encode(SYNC, ledger.ask()))
        self.flush_comes = False
        if self.waiting:
            self._row[LINKS_OUT] += self.frames
            transport.write(self.take())
        self._tail.flushed()
        if not self._is_paused:
            self.room = min(self._high_mark, self._frame_limit)
            if self.refused:
                self._tell_ready()

    def _tell_ready(self) -> None:
        refused = list(self.refused)
        self.refused.clear()
        for connection_id in refused:
            self._sink.ready_to_send(connection_id)

    def release_full(self) -> None:
        """Treat as ready what was FULL at the peer: its READY_TO_SEND may be lost."""
        full = list(self.full)
        self.full.clear()
        for connection_id in full:
            self._sink.ready_to_send(connection_id)

    def tick(self, patience: float) -> int:
        """Return how many waits were given up: the peer did not reply for `patience` seconds."""
        return self.ledger.expire(patience)

    # -- the end -----------------------------------------------------------------------------

    def leave(self) -> None:
        """Close gracefully: send the queue and GOODBYE, then close when the kernel has it all."""
        self._leaving = self._transport
        if self._leaving is not None:
            self._is_paused = False
            self.put(encode(GOODBYE))
            self.flush()
            self._leaving.close()
        self._down("this shard ends")

    def abort(self, reason: str) -> None:
        """Break the link; what was not confirmed is UNREACHABLE."""
        transport = self._transport or self._leaving
        self._down(reason)
        if transport is not None:
            transport.abort()

    def give_up(self) -> None:
        """End a dial that does not succeed."""
        self.is_given_up = True
        self.abort("it cannot be dialed")

    def _down(self, reason: str) -> None:
        """Settle everything; whatever ended the link, only the first reason counts."""
        if self.is_down:
            return
        is_connected = self._transport is not None
        self.is_down, self.is_up = True, False
        self.flush_comes = True  # nothing is flushed any more
        self._transport = None
        if not is_connected:
            self._set_closed()
        self._tail.cancel()
        self.take()  # to drop it
        self.room = -1
        self._owner.link_down(self, reason)

    def _set_closed(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    # -- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        if self.is_down:  # no longer wanted when the dial succeeded
            wire.abort()
            return
        wire.set_write_buffer_limits(high=0)
        self._transport = wire
        self.is_up = True
        self.is_given_up = False
        self.up_at = self._loop.time()
        self.put_first(self._owner.greeting(self))
        self.flush()
        end_all(self.handovers, is_lost=False)

    def data_received(self, data: bytes) -> None:
        self.abort("the peer wrote on a one-way link")

    def pause_writing(self) -> None:
        self._is_paused = True
        self.flush_comes = True
        self.room = 0  # the next message checks what the transport holds

    def resume_writing(self) -> None:
        self._is_paused = False
        if not self.is_down:
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._leaving = None
        self._down(str(exc) if exc else "the peer closed it")
        self._set_closed()
