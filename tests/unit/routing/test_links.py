"""The choice of the implementation; references and misuse of the one in C."""

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from shardws.ids import GENERATION_SHIFT
from shardws.outcomes import FULL, GONE, QUEUED, SendOutcome
from shardws.routing import links as chosen
from shardws.routing import links_twin
from shardws.routing.ledger import PendingSend
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.links_contract import (
    ID,
    IMPLEMENTATIONS,
    Connection,
    each_implementation,
    make_ledger,
    make_queue,
    make_route,
)

EXTENSION = "shardws.routing._links"


def pass_through(links: Any, payload: bytes, queue: Any, connection: Any) -> None:
    """Everything once, with results that are dropped."""
    route = make_route(links)
    route.here[ID + 1], route.others[ID >> GENERATION_SHIFT] = connection, queue
    for kind in (1, 2, 8):
        route.send(ID, kind, payload)
    route.send(ID + 1, 1, payload)
    queue.room = 0
    route.send(ID, 1, payload)
    queue.room = 1 << 20
    queue.ledger.watch(queue.ledger.last, print)
    run = links.find_run(queue.take(), 0, 1 << 20)
    run.deliver({ID: connection}, QUEUED, GONE)
    links.find_run(encode(m.DELIVER, 1, 1, payload), 0, 1 << 20).deliver({}, QUEUED, GONE)
    queue.ledger._watchers.clear()
    connection.got.clear()
    queue.calls.clear()


@each_implementation
def test_references_of_a_long_life(links: Any) -> None:
    payload, queue, connection = b"p" * 500, make_queue(links, 1 << 20), Connection()
    things = [payload, queue, connection, queue.ledger, PendingSend, QUEUED, FULL, GONE, print]
    pass_through(links, payload, queue, connection)
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(200):
        pass_through(links, payload, queue, connection)
    after = [sys.getrefcount(thing) for thing in things]
    assert all(abs(now - then) < 20 for now, then in zip(after, before, strict=True))


@pytest.mark.parametrize("make", [make_queue, make_route])
def test_misuse_in_c(make: Callable[[Any], Any]) -> None:
    """What only a fault of ours can do raises, and does not crash."""
    if len(IMPLEMENTATIONS) == 1:
        pytest.skip("the C implementation was not built")
    links: Any = IMPLEMENTATIONS[1]
    plain: Any = type(make(links)).__mro__[1]
    made = plain.__new__(plain)
    method = made.send if hasattr(made, "send") else made.deliver
    with pytest.raises((TypeError, RuntimeError)):
        method(ID, 1, b"")
    with pytest.raises(TypeError):
        method(ID)
    with pytest.raises(TypeError):
        made.__init__(None, None)


@pytest.mark.parametrize("pending", [int, SendOutcome, object])
def test_a_class_without_the_slots(pending: type) -> None:
    if len(IMPLEMENTATIONS) == 1:
        pytest.skip("the C implementation was not built")
    links: Any = IMPLEMENTATIONS[1]
    with pytest.raises((TypeError, AttributeError)):
        links.Queue(make_ledger(links), pending)


def test_the_choice() -> None:
    assert chosen.select("python") is links_twin
    assert chosen.IMPLEMENTATION in ("c", "python")


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXTENSION, None)
    assert chosen.select("") is links_twin
    with pytest.raises(ImportError, match="was not built of this source"):
        chosen.select("c")


@pytest.mark.parametrize("contract", [None, links_twin.CONTRACT - 1])
def test_an_extension_of_older_source(
    monkeypatch: pytest.MonkeyPatch, contract: int | None
) -> None:
    old = types.ModuleType(EXTENSION)
    if contract is not None:
        setattr(old, "CONTRACT", contract)  # noqa: B010  # a module has no such attribute
    monkeypatch.setitem(sys.modules, EXTENSION, old)
    assert chosen.select("") is links_twin
    with pytest.raises(ImportError, match="was not built of this source"):
        chosen.select("c")
