"""Messages that have begun and are held until they are whole: how much, and for how long.

Owns the set of connections that hold something, which is looked at once per tick of the shard; one
that holds nothing is not in it and costs nothing. What BufferMessage False passes on is not held.
"""

from typing import Protocol

from shardws.protocol.session import Session, State
from shardws.stats import INBOUND_BYTES, Words


class Holder(Protocol):
    """A connection, as this sees it."""

    @property
    def session(self) -> Session | None: ...
    @property
    def is_read(self) -> bool: ...
    def settle(self, session: Session) -> None: ...


class PartialMessages:
    """Those of one shard."""

    def __init__(self, row: Words) -> None:
        self._row = row
        self._limit = 0.0
        # The message in progress, and since when: of it, or since we have been reading again.
        self._held: dict[Holder, tuple[object, float]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def limit_to(self, seconds: float) -> None:
        """Give a message so long to be completed; 0: for ever."""
        self._limit = seconds

    def add(self, connection: Holder) -> None:
        """Note that a connection holds bytes of a message; called at each read."""
        if connection not in self._held:
            self._held[connection] = None, 0.0

    def look(self, now: float) -> None:
        """End what has taken too long, and show how many bytes all connections hold."""
        if self._held or self._row[INBOUND_BYTES]:
            self._row[INBOUND_BYTES] = self._look(now)

    def _look(self, now: float) -> int:
        total = 0
        for connection, (message, since) in list(self._held.items()):
            session = connection.session
            held = 0 if session is None or session.state is not State.OPEN else session.held
            if session is None or not held:
                del self._held[connection]
                continue
            total += held
            current = session.in_progress
            if current is not message or not connection.is_read:
                self._held[connection] = current, now
            elif self._limit and now - since >= self._limit:
                session.give_up_message()
                connection.settle(session)
                del self._held[connection]
        return total
