"""find_run and Run, in both implementations."""

from typing import Any

import pytest

from shardws.outcomes import FULL, GONE, QUEUED, SendOutcome
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.links_contract import (
    Connection,
    each_implementation,
)


def run_of(links: Any, *messages: tuple[int, int, bytes]) -> Any:
    data = b"".join([encode(m.DELIVER, *message) for message in messages])
    run = links.find_run(data, 0, 1000)
    assert (run.end, run.size, run.done) == (len(data), len(messages), 0)
    return run


@each_implementation
def test_a_run_goes_to_its_connections_in_order(links: Any) -> None:
    one, other = Connection(), Connection()
    run = run_of(links, (1, 1, b"a"), (2, 2, b""), (1, 9, b"b"), (1, 10, b"c"))
    assert run.deliver({1: one, 2: other}, QUEUED, GONE) is None
    assert (one.got, other.got) == ([(1, b"a"), (9, b"b"), (10, b"c")], [(2, b"")])
    assert run.done == 4
    assert run.deliver({}, QUEUED, GONE) is None


@each_implementation
def test_a_run_stops_behind_what_is_not_queued(links: Any) -> None:
    connections = {1: Connection(QUEUED, FULL, ValueError("odd")), 3: Connection()}
    run = run_of(
        links, (1, 1, b"a"), (1, 1, b"b"), (2, 1, b"c"), (3, 1, b"d"), (1, 1, b"e"), (3, 1, b"f")
    )
    assert run.deliver(connections, QUEUED, GONE) is FULL
    assert (run.connection_id, run.done) == (1, 2)
    assert run.deliver(connections, QUEUED, GONE) is GONE
    assert (run.connection_id, run.done) == (2, 3)
    with pytest.raises(ValueError, match="odd"):
        run.deliver(connections, QUEUED, GONE)
    assert (run.connection_id, run.done) == (1, 5)
    assert run.deliver(connections, QUEUED, GONE) is None
    assert connections[3].got == [(1, b"d"), (1, b"f")]


@each_implementation
def test_a_connection_may_go_while_it_is_sent_to(links: Any) -> None:
    connections: dict[int, Any] = {}

    class Leaving(Connection):
        def send(self, kind: int, payload: bytes) -> SendOutcome:
            connections.clear()
            return super().send(kind, payload)

    leaving = Leaving()
    connections[1] = leaving
    run = run_of(links, (1, 1, b"a"), (1, 1, b"b"))
    assert run.deliver(connections, QUEUED, GONE) is GONE
    assert (leaving.got, run.done) == ([(1, b"a")], 2)


@each_implementation
def test_a_run_can_be_delivered_from_inside_of_it(links: Any) -> None:
    """A connection may turn the loop: what is taken is not taken again."""
    connection = Connection()
    run = run_of(links, (1, 1, b"a"), (2, 1, b"b"), (2, 1, b"c"))

    class Turning(Connection):
        def send(self, kind: int, payload: bytes) -> SendOutcome:
            assert run.deliver({2: connection}, QUEUED, GONE) is None
            return super().send(kind, payload)

    assert run.deliver({1: Turning(), 2: connection}, QUEUED, GONE) is None
    assert connection.got == [(1, b"b"), (1, b"c")]
    assert run.done == 3


@each_implementation
@pytest.mark.parametrize("connections", [None, [], Connection()])
def test_connections_are_a_dict(links: Any, connections: Any) -> None:
    run = run_of(links, (1, 1, b"a"))
    with pytest.raises((TypeError, AttributeError)):
        run.deliver(connections, QUEUED, GONE)


@each_implementation
@pytest.mark.parametrize(
    ("data", "limit"),
    {
        "nothing": (b"", 1000),
        "a part": (encode(m.DELIVER, 1, 1, b"abc")[:-1], 1000),
        "a part of the head": (encode(m.DELIVER, 1, 1, b"")[:-1], 1000),
        "above the limit": (encode(m.DELIVER, 1, 1, b"abc"), 11),
        "another message": (encode(m.BROADCAST, 1, bytes(20)), 1000),
        "another format": (encode(m.DELIVER, 1, 1, b"").replace(b"\x01", b"\x08"), 1000),
        "too short": (b"\x08\0\0\0\x0a" + bytes(8) + b"\x01", 1000),
        "too long": (b"\xff\xff\xff\xff\x0a" + bytes(8) + b"\x01", 1 << 40),
    }.values(),
)
def test_what_is_no_run(links: Any, data: bytes, limit: int) -> None:
    assert links.find_run(data, 0, limit) is None
    assert links.find_run(data, len(data), limit) is None


@each_implementation
def test_a_run_ends_at_what_is_none(links: Any) -> None:
    one = encode(m.DELIVER, 1, 1, b"abc")
    for behind in (b"", one[:-1], encode(m.SYNC, 1), b"\xff" * 40):
        run = links.find_run(b"junk" + one + one + behind, 4, 12)
        assert (run.size, run.end) == (2, 4 + 2 * len(one))


@each_implementation
@pytest.mark.parametrize("arguments", [(b"", 1, 9), (b"", -1, 9), (b"ab", 3, 9), (b"", 0, -1)])
def test_a_place_outside_the_bytes(links: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="no place in these bytes"):
        links.find_run(*arguments)
