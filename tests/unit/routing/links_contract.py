"""The two implementations of the path to other shards, and a decoder's messages in plain form."""

from types import ModuleType
from typing import Any

import pytest

from shardws.errors import WireError
from shardws.ids import GENERATION_SHIFT
from shardws.outcomes import FULL, GONE, QUEUED, SendOutcome
from shardws.routing import links_twin
from shardws.routing.ledger import PendingSend
from shardws.routing.link_decoder import RUN, LinkDecoder
from shardws.routing.links import select
from shardws.wire import messages as m
from shardws.wire.codec import DELIVER_HEAD, Decoder

try:
    IMPLEMENTATIONS: list[ModuleType] = [links_twin, select("c")]
except ImportError:  # built without a compiler
    IMPLEMENTATIONS = [links_twin]

HEAD = DELIVER_HEAD.size
ID = (3 << GENERATION_SHIFT) + 5
LIMIT = 4096
SENDERS = m.SHARD | m.ADMIN

each_implementation = pytest.mark.parametrize(
    "links", IMPLEMENTATIONS, ids=lambda module: module.IMPLEMENTATION
)


class Recipient:
    """A connection that adds what it gets to a list."""

    groups: set[str] | None = None

    def __init__(self, connection_id: int, got: list[tuple[Any, ...]]) -> None:
        self.id = connection_id
        self._got = got

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        self._got.append((m.DELIVER, self.id, kind, payload))
        return QUEUED


def expanded(messages: list[tuple[Any, ...]], ids: set[int]) -> list[tuple[Any, ...]]:
    """Replace runs by their messages, which are for connections of these ids."""
    found: list[tuple[Any, ...]] = []
    connections = {one: Recipient(one, found) for one in ids}
    for message in messages:
        if message[0] == RUN:
            before = len(found)
            assert message[1].deliver(connections, QUEUED, GONE) is None
            assert len(found) - before == message[1].size == message[1].done
        else:
            found.append(message)
    return found


def read(decoder: Decoder, data: bytes, cuts: list[int]) -> list[list[tuple[Any, ...]] | WireError]:
    """Feed the data in reads of these sizes, the last one with the rest, until one raises."""
    told: list[list[tuple[Any, ...]] | WireError] = []
    at = 0
    for cut in [*cuts, len(data)]:
        try:
            told.append(decoder.feed(data[at : at + cut]))
        except WireError as error:
            return [*told, error]
        at += cut
    return told


def check_agreement(links: Any, data: bytes, cuts: list[int]) -> None:
    """Assert that a link's decoder tells what the table's does, and refuses what it refuses."""
    kind = type("Kind", (LinkDecoder,), {"find_run": staticmethod(links.find_run)})
    found = read(kind(LIMIT, SENDERS), data, cuts)
    reference = read(Decoder(LIMIT, SENDERS), data, cuts)
    assert len(found) == len(reference)
    for ours, theirs in zip(found, reference, strict=True):
        if isinstance(theirs, WireError):
            assert isinstance(ours, WireError)
            assert ours.description == theirs.description
        else:
            assert not isinstance(ours, WireError)
            ids = {message[1] for message in theirs if message[0] == m.DELIVER}
            assert expanded(ours, ids) == theirs


class Connection:
    """Returns what it is told to, and keeps what it gets."""

    def __init__(self, *outcomes: Any) -> None:
        self.got: list[tuple[int, bytes]] = []
        self.outcomes = list(outcomes)

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        self.got.append((kind, payload))
        outcome = self.outcomes.pop(0) if self.outcomes else QUEUED
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, SendOutcome)
        return outcome


def make_ledger(links: Any, first: int = 1) -> Any:
    class Ledger(links.Numbers):  # type: ignore[misc]
        def __init__(self) -> None:
            self.first, self.is_down = first, False
            self.last = self.asked = self.confirmed = first - 1
            self._failures: dict[int, Any] = {}
            self._watchers: dict[int, Any] = {}
            self._forgotten = 0
            self.slow: list[tuple[int, Any]] = []

        def watch_slowly(self, number: int, watcher: Any) -> None:
            self.slow.append((number, watcher))

    return Ledger()


def make_queue(links: Any, room: int = 1000) -> Any:
    class Queue(links.Queue):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(make_ledger(links), PendingSend)
            self.room = room
            self.calls: list[tuple[str, int]] = []
            self.answer: Any = False

        def has_room(self, size: int) -> bool:
            self.calls.append(("has_room", size))
            if isinstance(self.answer, Exception):
                raise self.answer
            return bool(self.answer)

        def refuse(self, connection_id: int) -> SendOutcome:
            self.calls.append(("refuse", connection_id))
            return FULL

        def wake(self) -> None:
            self.calls.append(("wake", self.waiting))
            self.flush_comes = True

    return Queue()


def make_route(links: Any) -> Any:
    class Route(links.Route):  # type: ignore[misc]
        def __init__(self) -> None:
            self.here: dict[Any, Any] = {}
            self.others: dict[Any, Any] = {}
            super().__init__(self.here, self.others)
            self.slow: list[tuple[Any, ...]] = []

        def send_slowly(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
            self.slow.append((connection_id, kind, payload))
            return GONE

    return Route()
