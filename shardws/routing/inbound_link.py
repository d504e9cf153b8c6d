"""The accepted end of a peer's link: who the peer is, and its messages.

Owns the check of the peer and the count of its countable messages; passes messages to the receiver.
Nothing is ever written here: replies are sent on the link dialed in the other direction. What one
read brought is handled at once: a link holds less than a read of uvloop takes (unix.SEND_BUFFER),
which bounds what a peer that floods its link takes of a turn of the loop.

A peer has `HELLO_SECONDS` to send HELLO and START. It must run under our own user id (SO_PEERCRED),
be the process it claims to be, and know the boot nonce of this server. Any error, now or later,
closes only this link and logs one line.
"""

import asyncio
from typing import Any, Final, Protocol, cast

from shardws.errors import WireError
from shardws.routing.link_decoder import LinkDecoder
from shardws.routing.unix import credentials
from shardws.wire.messages import ADMIN, HELLO, SHARD, START

HELLO_SECONDS: Final = 5.0


class InboundLinkOwner(Protocol):
    """What an accepted link asks of the mesh."""

    def admit(self, inbound: "InboundLink", hello: tuple[Any, ...]) -> int:
        """Return the peer's incarnation; WireError when it is not allowed."""

    def inbound_lost(self, inbound: "InboundLink", reason: str) -> None: ...


class MessageReceiver(Protocol):
    """Handles the messages of an accepted link: routing.receiver."""

    def receive(self, inbound: "InboundLink", messages: list[tuple[Any, ...]]) -> None:
        """Take messages of an admitted peer; WireError closes the link.

        After one that pauses the link, the rest is given back to `keep`.
        """


class InboundLink(asyncio.Protocol):
    """One accepted link."""

    def __init__(
        self,
        owner: InboundLinkOwner,
        receiver: MessageReceiver,
        loop: asyncio.AbstractEventLoop,
        frame_limit: int,
    ) -> None:
        self.incarnation = -1  # until HELLO
        self.is_open = False  # HELLO and START have arrived
        self.is_leaving = False  # GOODBYE has arrived
        self.is_paused = False
        self.count = 0  # number of the last countable message
        self.reply_link: object = None  # the link that carried replies to this one
        self.pid = 0
        self.uid = -1
        self._owner = owner
        self._receiver = receiver
        self._loop = loop
        self._decoder = LinkDecoder(frame_limit, SHARD | ADMIN)
        self._transport: asyncio.Transport | None = None
        self._is_refused = False
        self._kept: list[tuple[Any, ...]] = []  # read before the pause
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        if self._is_refused:  # while it was being accepted
            wire.abort()
            return
        self._transport = wire
        self.pid, self.uid = credentials(transport.get_extra_info("socket"))
        self._deadline = self._loop.call_later(HELLO_SECONDS, self.refuse, "no HELLO came in time")

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return  # refused; data read before that is dropped
        try:
            messages = self._decoder.feed(data)
            if not self.is_open:
                messages = self._open(messages)
            self._take(messages)
        except WireError as error:
            self.refuse(error.description)

    def _take(self, messages: list[tuple[Any, ...]]) -> None:
        if self.is_paused:
            self._kept += messages
        elif messages:
            self._receiver.receive(self, messages)

    def pause(self) -> None:
        """Read no more: what follows on this link must wait. The receiver keeps what it has."""
        self.is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def keep(self, messages: list[tuple[Any, ...]]) -> None:
        """Keep what was read before the pause and not handled."""
        self._kept = [*messages, *self._kept]

    def resume(self) -> None:
        """Handle what was kept, and read again."""
        self.is_paused = False
        kept, self._kept = self._kept, []
        if self._transport is None:
            return
        self._transport.resume_reading()
        try:
            self._take(kept)
        except WireError as error:
            self.refuse(error.description)

    def _open(self, messages: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Take HELLO and START from the head; return the messages behind them."""
        if messages and self.incarnation < 0:
            if messages[0][0] != HELLO:
                raise WireError("the first message is no HELLO")
            self.incarnation = self._owner.admit(self, messages[0])
            messages = messages[1:]
        if not messages:
            return messages
        kind, *fields = messages[0]
        if kind != START or fields[0] < 1:
            raise WireError("the second message is no START")
        self.count = fields[0] - 1
        self.is_open = True
        self._cancel_deadline()
        return messages[1:]

    def refuse(self, reason: str) -> None:
        """Close the link; the owner logs the reason."""
        self._is_refused = True
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._cancel_deadline()
        transport.abort()
        self._owner.inbound_lost(self, reason)

    def eof_received(self) -> bool:
        return False  # connection_lost follows

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._cancel_deadline()
            self._owner.inbound_lost(self, str(exc) if exc else "")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
