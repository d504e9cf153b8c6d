"""requests: who is disconnected by an address, in whatever form it is known."""

import json
from typing import Any, cast

import pytest

from shardws import DataIn
from shardws.errors import ShardwsError, UsageError
from shardws.net.connection import Connection
from shardws.net.pump import Pump
from shardws.outcomes import QUEUED
from shardws.protocol.request import Request
from shardws.routing.registry import Registry
from shardws.shard import operator_commands
from shardws.stats import Stats
from shardws_supervisor.shards.channel import LONGEST_MESSAGE

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


class Shard:
    """As much of one as the request needs: its connections, and who was closed."""

    def __init__(self, *hosts: str) -> None:
        self.registry = Registry()
        self.router = self
        self.closed: list[int] = []
        for number, host in enumerate(hosts, 1):
            connection = Connection.__new__(Connection)
            connection.bind(PUMP)
            connection.id, connection.remote_host = number, host
            connection.resumed = None
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


class Lists(Shard):
    """A shard whose connections have what a client can choose: headers and groups."""

    now = 100.0

    def __init__(self) -> None:
        super().__init__("192.0.2.1")
        connection = self.registry.get(1)
        assert isinstance(connection, Connection)
        head = b"GET /%b HTTP/1.1\r\nHost: %b\r\nOrigin: %b\r\nSec-WebSocket-Protocol: %b\r\n\r\n"
        octets = b"\xe9" * 200_000
        connection.request = Request(head % ((octets,) * 4))
        connection.groups = {f"{number:04}" + "\x01" * 1020 for number in range(1000)}
        connection.seen, connection.rtt = 99.0, 0.0
        connection.remote_port = 4711


def test_what_a_client_chooses_is_cut_in_what_is_shown_of_it() -> None:
    """1000 groups with names of 1 KiB made 3 MB, and the supervisor killed the shard for it."""
    shown = operator_commands.run(cast(Any, Lists()), 1, '{"do": "show"}')
    assert len(shown) < operator_commands.LONGEST_REPLY < LONGEST_MESSAGE
    reply = json.loads(shown)
    assert len(reply["group_names"]) == operator_commands.MOST_GROUPS
    assert reply["group_names"] == sorted(reply["group_names"])
    assert reply["groups"] == len(reply["group_names"]) + reply["more_groups"] == 1000
    assert all(len(reply[name]) < 1100 for name in ("host", "origin", "sub_protocols", "path"))


def test_a_reply_too_long_for_the_channel_is_an_error_of_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operator_commands, "LONGEST_REPLY", 1000)
    with pytest.raises(ShardwsError, match="the reply is too long") as caught:
        operator_commands.run(cast(Any, Lists()), 1, '{"do": "show"}')
    assert caught.value.code == 135
    assert len(operator_commands.refusal(ShardwsError("é" * 10_000))) < 10_000
