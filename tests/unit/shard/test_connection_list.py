"""connection_list: what operators see of a connection, and the bounds of the list."""

import json
from typing import Any, cast

import pytest

from shardws import DataIn
from shardws.net.connection import Connection
from shardws.net.connection.resumed import Cause, Resumed
from shardws.net.pump import Pump
from shardws.outcomes import QUEUED
from shardws.protocol.request import Request
from shardws.routing.registry import Registry
from shardws.shard import connection_list
from shardws.stats import Stats


class Transport:
    def get_write_buffer_size(self) -> int:
        return 730

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Not looked at."""


PUMP = Pump(
    handlers=None,
    dispatch=None,
    event_type=DataIn,
    queued=QUEUED,
    row=Stats(1).row(0),
    index=(0, 1, 2, 3),
    call_soon=lambda callback: None,
    time=lambda: 0.0,
    on_error=lambda wire, error: None,
)


def connection_of(number: int, *, host: str = "10.0.0.7", target: str = "/room") -> Connection:
    """Return a connection as far as the connection_list looks at it."""
    connection = Connection.__new__(Connection)
    connection.bind(PUMP)
    connection.id = number
    connection.remote_host, connection.remote_port = host, 4711
    connection.request = Request(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    connection.attach(cast(Any, Transport()))
    connection.seen = 98.75
    connection.rtt = 0.0015004
    connection.groups = {"a", "b"}
    connection.resumed = None
    return connection


class Shard:
    def __init__(self, *connections: Connection) -> None:
        self.now = 100.0
        self.registry = Registry()
        for connection in connections:
            self.registry.add(connection)


def listed(shard: Shard, limit: int, after: int = 0) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(connection_list.reply(shard, limit, after))
    return reply


def test_an_entry() -> None:
    answer = listed(Shard(connection_of(5)), 10)
    assert answer == {
        "total": 1,
        "connections": [
            {
                "id": 5,
                "address": "10.0.0.7",
                "port": 4711,
                "path": "/room",
                "silent": 1.2,
                "ping": 0.0015,
                "queue_bytes": 730,
                "groups": 2,
                "resumed": 0,
            }
        ],
    }


def test_an_entry_of_a_connection_that_came_from_another_process() -> None:
    connection = connection_of(5)
    connection.resumed = Resumed(Cause.SCALE, 3, 17, 2)
    (entry,) = listed(Shard(connection), 10)["connections"]
    assert (entry["resumed"], entry["from"]) == (2, "3.17 scale")


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/room?token=secret", "/room?..."),
        ("/" + "x" * 500, "/" + "x" * 199),
        ("/<script>", "/<script>"),
    ],
)
def test_paths_are_cut_and_hide_their_query(target: str, shown: str) -> None:
    (entry,) = listed(Shard(connection_of(1, target=target)), 1)["connections"]
    assert entry["path"] == shown


def test_an_address_with_colons_is_in_brackets() -> None:
    (entry,) = listed(Shard(connection_of(1, host="::1")), 1)["connections"]
    assert entry["address"] == "[::1]"


def test_what_has_gone_is_shown_as_it_was() -> None:
    connection = connection_of(1)
    connection.attach(None)
    connection.request = connection.groups = None
    (entry,) = listed(Shard(connection), 1)["connections"]
    assert (entry["path"], entry["queue_bytes"], entry["groups"]) == ("", 0, 0)


def test_the_list_is_bounded_and_the_total_is_not() -> None:
    shard = Shard(*(connection_of(number) for number in range(1, connection_list.MOST + 3)))
    answer = listed(shard, 2)
    assert [entry["id"] for entry in answer["connections"]] == [502, 501]
    assert answer["total"] == 502
    assert len(listed(shard, 10**6)["connections"]) == connection_list.MOST


def ids_of(answer: dict[str, Any]) -> list[int]:
    return [entry["id"] for entry in answer["connections"]]


def test_pages_follow_each_other_to_the_end() -> None:
    """The list ended at 500 of each shard, and nobody could see the others."""
    order = [1, 2, 4, 3, 5]  # the opening of 3 was decided after that of 4
    shard = Shard(*map(connection_of, order))
    first = listed(shard, 2)
    assert (ids_of(first), first["next"]) == ([5, 3], 3)
    second = listed(shard, 2, first["next"])
    assert (ids_of(second), second["next"]) == ([4, 2], 2)
    last = listed(shard, 2, second["next"])
    assert ids_of(last) == [1]
    assert "next" not in last
    assert "next" not in listed(shard, 5)
    assert "next" not in listed(shard, 0)


def test_a_page_is_found_when_the_connection_before_it_has_gone() -> None:
    shard = Shard(*map(connection_of, (1, 2, 4)))
    assert ids_of(listed(shard, 2, 3)) == [2, 1]
