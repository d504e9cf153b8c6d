"""What connections share, and what they ask of the shard that owns them.

Owns the shape of both; knows no settings and no handlers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from shardws.errors import HandshakeError
from shardws.hotpath import Counting
from shardws.interfaces import Clock
from shardws.net.interning import InternedTexts
from shardws.net.options import UNTOUCHED, SocketOptions
from shardws.outcomes import LaterSend, Outcome, SendOutcome
from shardws.protocol.handshake import HandshakeConfig
from shardws.protocol.keepalive import Keepalive
from shardws.protocol.request import Request
from shardws.protocol.session import Ending, Item, SessionConfig
from shardws.stats import Words

if TYPE_CHECKING:
    from shardws.net.connection import Connection
    from shardws.net.deadlines import Deadlines
    from shardws.net.outbox import Outbox
    from shardws.net.sharing import Joiner


class Policy(IntEnum):
    """What a send to a full connection does (setting OutPolicy)."""

    WAIT = 0  # answers FULL; ReadyToSend tells when to go on
    DROP = 1  # takes it, and drops the oldest that wait when they are too many
    CLOSE = 2  # closes the connection with 1013


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """What all connections of a shard share; made anew when a live setting changes."""

    session: SessionConfig
    handshake: HandshakeConfig
    keepalive: Keepalive
    high_mark: int  # bytes
    low_mark: int  # bytes
    policy: Policy
    open_timeout: float  # seconds for TLS and the opening request together; 0 none
    close_timeout: float  # seconds the peer has to answer our close frame
    idle_timeout: float  # seconds without a byte either way; 0 none
    options: SocketOptions = UNTOUCHED


class Owner(Protocol):
    """What a connection asks of its shard."""

    config: ConnectionConfig
    row: Words
    counters: Counting
    joiner: "Joiner"
    now: float  # the loop's time at the last tick
    clock: Clock  # the loop's time now
    interned: InternedTexts

    def accepted(self, connection: "Connection") -> None: ...
    def requested(self, connection: "Connection", request: Request) -> None: ...
    def received(self, connection: "Connection", items: list[Item], size: int) -> None: ...
    def written_full(self, connection: "Connection") -> None: ...
    def drained(self, connection: "Connection") -> None: ...
    def stream_failed(self, connection: "Connection", code: int, description: str) -> None: ...
    def later(self, connection_id: int) -> LaterSend: ...
    def call_soon(self, callback: Callable[[], None]) -> None: ...
    def idle(self, connection: "Deadlines") -> None: ...
    def lost(self, connection: "Connection", ending: Ending | None) -> None: ...
    def refused(self, connection: "Connection", error: HandshakeError) -> None: ...
    def unsent(self, connection_id: int, outcome: Outcome) -> SendOutcome: ...
    def flush_later(self, connection: "Outbox") -> None: ...
    def wake_at(self, connection: "Deadlines", due: float) -> None: ...
