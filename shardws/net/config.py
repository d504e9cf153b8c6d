"""What all connections of a shard share: marks, timeouts, and the policy of a full queue."""

from dataclasses import dataclass
from enum import IntEnum

from shardws.net.options import UNTOUCHED, SocketOptions
from shardws.protocol.handshake import HandshakeConfig
from shardws.protocol.keepalive import NEVER, Keepalive
from shardws.protocol.session import SessionConfig


class Policy(IntEnum):
    """What a send to a full connection does (setting OutPolicy)."""

    WAIT = 0  # refuses with FULL; ReadyToSend says when to retry
    DROP = 1  # accepts it, and drops the oldest waiting messages beyond the mark
    CLOSE = 2  # closes the connection: close_reasons.QUEUE_FULL


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """The settings of a shard's connections; replaced when a live setting changes."""

    session: SessionConfig
    handshake: HandshakeConfig
    keepalive: Keepalive
    high_mark: int  # bytes
    low_mark: int  # bytes
    policy: Policy
    open_timeout: float  # seconds for TLS and the opening request together; 0 none
    close_timeout: float  # seconds the peer has to reply to our close frame
    idle_timeout: float  # seconds without a byte either way; 0 none
    options: SocketOptions = UNTOUCHED

    @property
    def least_quiet(self) -> float:
        """Seconds after a byte in which neither a ping nor the idle timeout can be due."""
        return min(self.keepalive.least_quiet, self.idle_timeout or NEVER.again_at)
