"""What is kept of one client's connection, and the states it goes through.

Owns the slots of a connection, their meaning and their first values; does nothing. An idle
connection is to cost little memory, so what few connections need stands in `extras`, which is made
when the first of it is set.

    OPENING   reading the opening request, or the TLS handshake before it
    DECIDING  the application decides on it, perhaps in a coroutine
    OPEN      Connected was fired
    CLOSING   our close frame is out; the peer's is awaited for close_timeout
    ENDING    nothing more will be read as frames; TCP ends after what is written, or at a deadline
    LOST      TCP is over
"""

import asyncio
from typing import Any, Final

from shardws.interfaces import ByteTransport
from shardws.net.extras import Extras
from shardws.net.owner import Owner
from shardws.protocol.frames import Frame
from shardws.protocol.handshake import HandshakeReader
from shardws.protocol.request import Request
from shardws.protocol.session import Session

OPENING: Final = 0
DECIDING: Final = 1
OPEN: Final = 2
CLOSING: Final = 3
ENDING: Final = 4
LOST: Final = 5

# Reasons not to read: bits of `holds`, set and dropped by shard.dispatch.
HOLD_TASK: Final = 1  # an async handler of it runs
HOLD_APPLICATION: Final = 2  # AcceptData is False
HOLD_DECISION: Final = 4  # its address or its opening request is being decided on

# Reasons not to take a message: bits of `blocked`.
BLOCKED_WIRE: Final = 1  # the transport is above its high mark
BLOCKED_PARTS: Final = 2  # a message in parts is open; others wait behind it


class Record(asyncio.Protocol):
    """The data of a connection; see the module docstring for its states."""

    __slots__ = (
        "active",
        "backlog",
        "blocked",
        "cell",
        "config",
        "corked",
        "deadline",
        "entries",
        "extras",
        "groups",
        "holds",
        "id",
        "is_framed",
        "late_pong",
        "local_address",
        "outbox",
        "owner",
        "pending",
        "ping_at",
        "reader",
        "remote_host",
        "remote_port",
        "request",
        "rtt",
        "seen",
        "session",
        "size",
        "state",
        "task",
        "transport",
        "uncounted",
        "was_opened",
    )

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.config = owner.config
        self.id = 0
        self.state = OPENING
        self.transport: ByteTransport | None = None
        self.reader: HandshakeReader | None = None
        self.request: Request | None = None
        self.session: Session | None = None
        self.outbox: list[Frame] = []
        self.pending = 0  # payload bytes in outbox
        self.size = 0  # payload bytes of the last message that was taken
        self.is_framed = False  # some of outbox are finished frames
        self.uncounted = 0  # of outbox: what is no message, or not the last frame of one
        self.corked = False  # inside data_received: its end will flush
        self.blocked = 0
        self.late_pong: Frame | None = None
        self.was_opened = False
        self.cell = -1  # in the census, between Connected and Disconnected
        self.holds = 0
        self.task: asyncio.Task[None] | None = None
        self.backlog: list[Any] | None = None
        self.groups: set[str] | None = None
        self.extras: Extras | None = None
        self.remote_host = ""
        self.remote_port = 0
        self.local_address = ""
        self.seen = 0.0  # owner.now when the peer was last heard
        self.active = 0.0  # owner.now when something other than our pings last left
        self.ping_at = 0.0  # when the unanswered ping left; 0 none
        self.rtt = 0.0  # seconds, of the last answered ping
        self.deadline = 0.0
        self.entries = 0  # of this connection in the timer wheel

    def extra(self) -> Extras:
        """Return `extras`, made now if need be."""
        if self.extras is None:
            self.extras = Extras()
        return self.extras
