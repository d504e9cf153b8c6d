"""One message to many connections of a shard: one frame for all.

The pump queues it for every connection that takes it as it is. What is left over here has deflate
or fragmentation of its own, is full, or closes.
"""

from collections.abc import Iterable
from typing import Any

from shardws.net.connection.connection import Connection
from shardws.net.pump import Pump
from shardws.outcomes import QUEUED, Outcome


class Sharing:
    """Sends to many of the connections of one pump."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump

    def share(self, connections: Iterable[Any], kind: int, payload: bytes) -> list[Connection]:
        """Queue one message (kind 1, 2) for each connection; return those that are full.

        Connections that are closing are passed over.
        """
        others = self._pump.share(connections, kind, payload)
        return [
            one for one in others if isinstance(one, Connection) and _is_full(one, kind, payload)
        ]


def _is_full(connection: Connection, kind: int, payload: bytes) -> bool:
    send = connection.send_whole(kind, payload)
    # Looking at `outcome` keeps a FailedSend from reporting itself.
    return send is not QUEUED and send.outcome is Outcome.FULL
