"""State that only few connections have, in one object that is made when the first of it is set.

A connection without it costs one slot.
"""

from dataclasses import dataclass, field

from shardws.errors import HandshakeError
from shardws.net.connection.multipart import Multipart
from shardws.net.connection.states import COUNTED
from shardws.protocol.frames import Frame
from shardws.protocol.keepalive import Ahead
from shardws.tls.negotiated import Negotiated


@dataclass(slots=True)
class Extras:
    """Rare state of one connection."""

    data_format: int = 0  # events.FORMAT_*: of DataToSend and SendFile
    timeout: float | None = None  # seconds, where it is not that of the config
    negotiated: Negotiated | None = None  # by TLS
    multipart: Multipart | None = None  # messages in parts
    # Our own pings and their pongs are no sign of life for Timeout, hence these two:
    pong_seen: float = 0.0  # `seen` after a read that brought nothing but the pong to our ping
    quiet_since: float = 0.0  # when something moved before our last ping
    raw: bytearray = field(default_factory=bytearray)  # read while something held the connection
    late_pong: Frame | None = None  # owed to a peer that pings and does not read
    ahead: Ahead | None = None  # what stood in front of our unanswered ping
    ping_from: float = 0.0  # when PingTimeout began, if that was after the ping was queued
    lost_because: str = ""  # why the connection was lost, if TLS or this server knows better
    refusal: HandshakeError | None = None  # what the opening request will be answered with
    place: int = COUNTED  # states.COUNTED, TURNED_AWAY or LINGERING
    ends_by: float = (
        0.0  # when the close and the end have lasted long enough, whatever still leaves
    )
    waiting: int = 0  # bytes on their way when the idle time, or the end, was last looked at
