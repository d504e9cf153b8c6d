"""One message to many connections of a shard: one frame for all, and one block of bytes to write.

Owns the frame that they share and the block that it was last joined to; knows no groups. With a
thousand subscribers this is done a thousand times for each message, so:

- the queueing stands in one loop here, not in a call for each connection (`Outbox.send` is the same
  for one message of its own);
- all get the same tuple in their outbox. Whose outboxes hold the same tuples gets the same block:
  comparing them is some 5 ns for each, joining anew is a copy for each.

The last block and its frames are kept until the next one: below LARGE_BYTES each.
"""

from collections.abc import Iterable
from typing import Any

from shardws.net.outbox import FRAMED, TURN_BYTES, Outbox
from shardws.net.record import OPEN
from shardws.outcomes import QUEUED, Outcome
from shardws.protocol import codec
from shardws.protocol.frames import Frame


def share(connections: Iterable[Any], kind: int, payload: bytes) -> list[Outbox]:
    """Queue one message (kind 1, 2) for each connection; return those that are full.

    Whoever closes anyway is passed over. A connection with deflate or fragmentation of its own
    goes by the payload instead of the shared frame.
    """
    item: Frame = FRAMED, codec.join([(0x80 | kind, payload)])
    size = len(payload)
    full: list[Outbox] = []
    connection: Outbox
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


def _is_full(connection: Outbox, kind: int, payload: bytes) -> bool:
    send = connection.send_whole(kind, payload)
    # Looking at `outcome` silences what a FailedSend would tell by itself.
    return send is not QUEUED and send.outcome is Outcome.FULL


class Joiner:
    """Joins frames of which some are finished already; one for each shard."""

    __slots__ = ("_data", "_frames")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._data = b""

    def join(self, frames: list[Frame]) -> bytes:
        """Return the bytes of all frames; the list must not change afterwards."""
        if frames != self._frames:
            join = codec.join
            parts = [frame[1] if frame[0] < 0 else join([frame]) for frame in frames]
            self._frames, self._data = frames, b"".join(parts)
        return self._data
