"""The path of a message to a connection of another shard in Python; `links` says what it is for.

Owns the contract: `_links.c` does the same. An id, a number or a frame in here is what the class
derived from it, or its caller, gives it; nothing here knows the mesh.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final, Protocol

from shardws.ids import GENERATION_SHIFT
from shardws.interfaces import Recipient
from shardws.outcomes import Outcome, SendOutcome, Watcher
from shardws.wire.codec import DELIVER_FIXED, DELIVER_HEAD, pack_deliver
from shardws.wire.messages import DATA_FORMATS, DELIVER

HEAD: Final = DELIVER_HEAD.size
IMPLEMENTATION: Final = "python"
CONTRACT: Final = 2  # of both implementations; one built of older source is not used


class Run:
    """The DELIVERs that follow one another in what a link has read.

    `end` is where they end in these bytes, `size` how many they are, `done` how many were taken,
    and `connection_id` that of the last one whose outcome `deliver` returned, or raised for.
    """

    __slots__ = ("_last", "_left", "connection_id", "done", "end", "size")

    def __init__(self, messages: list[tuple[int, int, bytes]], end: int) -> None:
        self._left = iter(messages)
        self._last = 0, b""
        self.end = end
        self.size = len(messages)
        self.done = 0
        self.connection_id = 0

    def deliver(
        self, connections: dict[int, Recipient], queued: SendOutcome, gone: SendOutcome, /
    ) -> SendOutcome | None:
        """Send messages to their connections until one returns another outcome than `queued`.

        Returns that, or `gone` for an id that is not there; None when all are taken. What a
        connection raises is raised; its message is taken, and the next call goes on behind it.
        """
        for connection_id, kind, payload in self._left:
            self.connection_id = connection_id
            self._last = kind, payload
            self.done += 1
            connection = connections.get(connection_id)
            outcome = gone if connection is None else connection.send(kind, payload)
            if outcome is not queued:
                return outcome
        return None

    def message(self) -> tuple[int, bytes]:
        """Return kind and payload of the last message that was taken; ValueError without one."""
        if not self.done:
            raise ValueError("no message was taken")
        return self._last


def find_run(data: bytes, start: int, limit: int, /) -> Run | None:
    """Return the run of whole and valid DELIVERs at `start`; None when there is none.

    `limit` bounds the length of a frame behind its header. What is not whole, not valid or of
    another kind ends the run; the codec judges it.
    """
    unpack, head, fixed, formats = DELIVER_HEAD.unpack_from, HEAD, DELIVER_FIXED, DATA_FORMATS
    uncounted = head - fixed  # what `length` does not count
    messages: list[tuple[int, int, bytes]] = []
    size = len(data)
    if not 0 <= start <= size or limit < 0:
        raise ValueError("no place in these bytes, or no limit")
    while size - start >= head:
        length, number, connection_id, kind = unpack(data, start)
        end = start + uncounted + length
        if number != DELIVER or end > size or not fixed <= length <= limit or kind not in formats:
            break
        messages.append((connection_id, kind, data[start + head : end]))
        start = end
    return Run(messages, start) if messages else None


class Numbers:
    """The counts of a link's messages, and the watchers of those nothing is known of yet."""

    __slots__ = (
        "_failures",
        "_forgotten",
        "_watchers",
        "asked",
        "confirmed",
        "first",
        "is_down",
        "last",
    )

    first: int
    last: int  # the newest message
    asked: int  # the newest one a SYNC stands behind
    confirmed: int  # the newest one a SYNCED was for
    is_down: bool
    _forgotten: int  # the highest number among failures no longer kept
    _failures: dict[int, Outcome]  # in the order of their coming
    _watchers: dict[int, Watcher]  # rising numbers; bounded by SYNC_EVERY and queue

    def watch(self, number: int, watcher: Watcher, /) -> None:
        """Call `watcher` if a message fails: immediately when that is known already."""
        if (
            number > self.confirmed
            and number > self._forgotten
            and number not in self._failures
            and not self.is_down
        ):
            self._watchers[number] = watcher
        else:
            self.watch_slowly(number, watcher)

    def watch_slowly(self, number: int, watcher: Watcher) -> None:
        """Take a watcher of a message of which something is known; the ledger implements it."""
        raise TypeError("a ledger implements watch_slowly")


class Queue:
    """What waits to be written to a link.

    `waiting` counts its bytes, `frames` its frames; `room` is how far `waiting` may grow without a
    full check of the bound. `flush_comes` says that it will be written without a `wake`.
    """

    def __init__(self, ledger: Numbers, pending: Any) -> None:
        """`pending(ledger, number)` is what a send returns; a class with these two slots."""
        self.ledger = ledger
        self.waiting = 0
        self.room = 0
        self.flush_comes = False
        self._pending = pending
        self._parts: list[bytes] = []

    @property
    def frames(self) -> int:
        return len(self._parts)

    def deliver(self, connection_id: int, kind: int, payload: bytes, /) -> SendOutcome:
        """Queue one message for a connection of the peer; callers pass a kind of DATA_FORMATS.

        ValueError for an id or a kind that does not fit into the head of a DELIVER.
        """
        size = len(payload)
        total = self.waiting + size + HEAD
        if total > self.room and not self.has_room(size + HEAD):
            return self.refuse(connection_id)
        try:
            head = pack_deliver(size + DELIVER_FIXED, DELIVER, connection_id, kind)
        except struct.error as error:
            raise ValueError("no connection id, or no kind") from error
        self._parts.append(head + payload)
        self.waiting = total
        ledger = self.ledger
        ledger.last = number = ledger.last + 1
        if not self.flush_comes:
            self.wake()
        pending: SendOutcome = self._pending(ledger, number)
        return pending

    def put(self, frame: bytes, /) -> None:
        """Queue a frame as it is, whatever the bound."""
        self._parts.append(frame)
        self.waiting += len(frame)
        if not self.flush_comes:
            self.wake()

    def put_first(self, frame: bytes, /) -> None:
        """Queue a frame in front of what waits; nothing is woken."""
        self._parts.insert(0, frame)
        self.waiting += len(frame)

    def take(self) -> bytes:
        """Return what waits, and keep nothing."""
        data = b"".join(self._parts)
        self._parts.clear()
        self.waiting = 0
        return data

    # -- what the link implements ------------------------------------------------------------

    def has_room(self, size: int) -> bool:
        """Check the bound in full for a frame of `size` bytes, and set `room`."""
        raise TypeError("a link implements has_room")

    def refuse(self, connection_id: int) -> SendOutcome:
        """Return the outcome of a message without room."""
        raise TypeError("a link implements refuse")

    def wake(self) -> None:
        """Have what waits written at the end of the loop's turn."""
        raise TypeError("a link implements wake")


class Leads(Protocol):
    """Where an id leads to: the queue of a link, or what stands in front of one for a while."""

    def deliver(self, connection_id: int, kind: int, payload: bytes, /) -> SendOutcome: ...


class Route:
    """From an id to its connection here, or to the queue of the link to its shard."""

    def __init__(self, connections: dict[int, Recipient], links: Mapping[int, Leads]) -> None:
        """Both change with what they hold: by connection id, and by the id's part that its shard's
        ids share (ids.incarnation_of)."""
        self._get_connection = connections.get
        self._get_link = links.get

    def send(self, connection_id: int, kind: int, payload: bytes, /) -> SendOutcome:
        """Send one message (kind 1 text, 2 binary) or control frame (9 ping, 10 pong).

        Never raises for a connection that is not there. UsageError (213) for another kind, and for
        a payload above what a link can carry.
        """
        try:
            connection = self._get_connection(connection_id)
            if connection is None:
                link = self._get_link(connection_id >> GENERATION_SHIFT)
        except TypeError:  # no id at all
            return self.send_slowly(connection_id, kind, payload)
        if connection is not None:
            return connection.send(kind, payload)
        if link is not None and kind in DATA_FORMATS:
            return link.deliver(connection_id, kind, payload)
        return self.send_slowly(connection_id, kind, payload)

    def send_slowly(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        """Send what has neither connection nor link; the router implements it."""
        raise TypeError("a router implements send_slowly")
