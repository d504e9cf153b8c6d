"""Route, in both implementations."""

from typing import Any

import pytest

from shardws.ids import GENERATION_SHIFT
from shardws.outcomes import FULL, GONE, QUEUED, SendOutcome
from shardws.routing.ledger import PendingSend
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.links_contract import (
    ID,
    Connection,
    each_implementation,
    make_queue,
    make_route,
)

ODD_IDS: list[Any] = [-1, 1 << 64, True, "7", None, 7.0, 1 << 63]


@each_implementation
def test_a_route_to_a_connection_here(links: Any) -> None:
    route, connection = make_route(links), Connection(QUEUED, FULL, ValueError("odd"))
    route.here[ID] = connection
    assert route.send(ID, 1, b"a") is QUEUED
    assert route.send(ID, 77, b"b") is FULL  # it judges kinds itself
    with pytest.raises(ValueError, match="odd"):
        route.send(ID, 1, b"c")
    assert connection.got == [(1, b"a"), (77, b"b"), (1, b"c")]
    assert route.slow == []


@each_implementation
def test_a_route_over_a_link(links: Any) -> None:
    route, queue = make_route(links), make_queue(links)
    route.others[ID >> GENERATION_SHIFT] = queue
    assert type(route.send(ID, 2, b"a")) is PendingSend
    assert queue.take() == encode(m.DELIVER, ID, 2, b"a")
    queue.room = 0
    assert route.send(ID, 2, b"a") is FULL
    assert route.slow == []


@each_implementation
@pytest.mark.parametrize("connection_id", ODD_IDS)
def test_an_id_without_connection_and_link(links: Any, connection_id: Any) -> None:
    route = make_route(links)
    route.others[ID >> GENERATION_SHIFT] = make_queue(links)
    assert route.send(connection_id, 1, b"a") is GONE
    assert route.slow == [(connection_id, 1, b"a")]


@each_implementation
@pytest.mark.parametrize("kind", [0, 8, 11, -1, 1 << 70])
def test_a_kind_that_no_link_carries(links: Any, kind: int) -> None:
    route = make_route(links)
    route.others[ID >> GENERATION_SHIFT] = make_queue(links)
    assert route.send(ID, kind, b"a") is GONE
    assert route.slow == [(ID, kind, b"a")]


@each_implementation
def test_a_connection_that_goes_while_it_is_sent_to(links: Any) -> None:
    route = make_route(links)

    class Leaving(Connection):
        def send(self, kind: int, payload: bytes) -> SendOutcome:
            route.here.clear()
            return super().send(kind, payload)

    route.here[ID] = Leaving()
    assert route.send(ID, 1, b"a") is QUEUED
    assert route.send(ID, 1, b"a") is GONE
