"""State that only few connections have, in one object that is made when the first of it is set.

A connection without it costs one slot.
"""

from dataclasses import dataclass

from shardws.errors import HandshakeError
from shardws.net.connection.multipart import Multipart
from shardws.net.connection.states import COUNTED
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
    early: bytes = b""  # of the opening request, read while the address is decided on
    refusal: HandshakeError | None = None  # what the opening request will be answered with
    place: int = COUNTED  # states.COUNTED, TURNED_AWAY or LINGERING
    is_told: bool = False  # the owner was told that it is over, though TCP is not
    ends_by: float = 0.0  # when the end has lasted long enough, whatever the peer still takes
    waiting: int = 0  # bytes in the transport when the idle time, or the end, was last looked at
