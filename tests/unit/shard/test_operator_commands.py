"""requests: who is disconnected by an address, in whatever form it is known."""

import json
from typing import Any

import pytest

from shardws.errors import UsageError
from shardws.net.connection import Connection
from shardws.routing.registry import Registry
from shardws.shard import operator_commands


class Shard:
    """As much of one as the request needs: its connections, and who was closed."""

    def __init__(self, *hosts: str) -> None:
        self.registry = Registry()
        self.router = self
        self.closed: list[int] = []
        for number, host in enumerate(hosts, 1):
            connection = Connection.__new__(Connection)
            connection.id, connection.remote_host = number, host
            self.registry.add(connection)

    def disconnect(self, connection_id: int, code: int, reason: str) -> None:
        self.closed.append(connection_id)


def disconnect(shard: Any, address: str) -> dict[str, Any]:
    request = {"do": "disconnect_address", "address": address, "code": 1000, "reason": ""}
    reply: dict[str, Any] = json.loads(operator_commands.run(shard, 0, json.dumps(request)))
    return reply


@pytest.mark.parametrize(
    ("address", "closed"),
    [
        ("192.0.2.1", [1, 2, 3]),
        ("::ffff:192.0.2.1", [1, 2, 3]),
        ("::ffff:c000:201", [1, 2, 3]),
        ("2001:db8::1", [4]),
        ("2001:0DB8:0::1", [4]),
        ("192.0.2.2", []),
    ],
)
def test_every_form_of_an_address_is_that_address(address: str, closed: list[int]) -> None:
    """A socket for IPv6 and IPv4 shows its IPv4 clients as ::ffff:192.0.2.1."""
    shard = Shard("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "")
    assert disconnect(shard, address) == {"count": len(closed)}
    assert sorted(shard.closed) == closed


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(UsageError, match="is an IP address"):
        disconnect(Shard(), "nonsense")
