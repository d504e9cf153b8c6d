"""The connections of this shard by their ids.

Owns the mapping. `get` is the first step of every send, so it is the dict's own method and not a
wrapper around it. Connections that another process has just handed over are in `visiting` until
sends from here go to them directly (routing.arrivals); everything but `get` counts them in.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from shardws.interfaces import Recipient


class Registry:
    """ConnectionId to connection, for what lives here."""

    __slots__ = ("by_id", "get", "visiting")

    def __init__(self) -> None:
        self.by_id: dict[int, Recipient] = {}  # changed here alone; routing.links looks ids up
        self.visiting: dict[int, Recipient] = {}
        self.get: Callable[[int], Recipient | None] = self.by_id.get

    def add(self, recipient: Recipient) -> None:
        """Enter a connection; ValueError when its id is taken."""
        if self.by_id.setdefault(recipient.id, recipient) is not recipient:
            raise ValueError(f"connection id {recipient.id} is taken")

    def remove(self, recipient: Recipient) -> None:
        """Take a connection out; nothing happens when it is not there."""
        if self.by_id.get(recipient.id) is recipient:
            del self.by_id[recipient.id]

    def find(self, connection_id: int) -> Recipient | None:
        """Return a connection of this process, whether it has arrived lately or not."""
        return self.by_id.get(connection_id) or self.visiting.get(connection_id)

    @property
    def all(self) -> dict[int, Recipient]:
        """All connections of this process."""
        return {**self.visiting, **self.by_id} if self.visiting else self.by_id

    def snapshot(self) -> list[Recipient]:
        """Return a snapshot of all connections: some may come and go during the iteration."""
        return list(self.all.values())

    def newest(self, count: int, after: int = 0) -> list[Recipient]:
        """Return at most `count` connections, the last entered first, without a copy of all.

        With `after`, those that entered before that id. If it has gone, those below it: nearly the
        same, since ids rise, but one whose opening was decided late is entered after later ones.
        """
        connections = self.all
        newest = iter(reversed(connections.values()))
        if after in connections:
            for recipient in newest:
                if recipient.id == after:
                    break
        elif after:
            newest = (recipient for recipient in newest if recipient.id < after)
        return list(islice(newest, count))

    def __iter__(self) -> Iterator[int]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)
