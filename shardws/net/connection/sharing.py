"""One message to many connections of a shard: one frame for all, and one block of bytes to write.

With a thousand subscribers this is done a thousand times for each message, so:

- the queueing stands in one loop here, not in a call for each connection (`Connection.send` does
  the same for a single connection);
- all of them get the same tuple in their outbox, and outboxes with the same tuples are written from
  the same block (`joiner`).
"""

from collections.abc import Iterable
from typing import Any

from shardws.net.connection.connection import TURN_BYTES, Connection
from shardws.net.connection.joiner import FRAMED
from shardws.net.connection.states import OPEN
from shardws.outcomes import QUEUED, Outcome
from shardws.protocol import codec
from shardws.protocol.frames import Frame


def share(connections: Iterable[Any], kind: int, payload: bytes) -> list[Connection]:
    """Queue one message (kind 1, 2) for each connection; return those that are full.

    Connections that are closing are passed over. A connection with deflate or fragmentation of its
    own gets the payload instead of the shared frame.
    """
    item: Frame = FRAMED, codec.join([(0x80 | kind, payload)])
    size = len(payload)
    full: list[Connection] = []
    connection: Connection
    for connection in connections:
        session = connection.session
        if (
            session is None
            or connection.state != OPEN
            or connection.blocked
            or session.deflate is not None
            or session.config.max_frame_size
        ):
            if _is_full(connection, kind, payload):
                full.append(connection)
            continue
        outbox = connection.outbox
        if not outbox and not connection.corked:
            connection.owner.flush_later(connection)
        outbox.append(item)
        connection.is_framed = True
        connection.size = size
        connection.pending = pending = connection.pending + size
        if pending > TURN_BYTES:
            connection.flush()
    return full


def _is_full(connection: Connection, kind: int, payload: bytes) -> bool:
    send = connection.send_whole(kind, payload)
    # Looking at `outcome` keeps a FailedSend from reporting itself.
    return send is not QUEUED and send.outcome is Outcome.FULL
