"""The surface on several shards: what works from any shard, by real clients of real processes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.processes.applications import GREETS
from tests.processes.clients import open_silent
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    WriteApp,
    connect_to_shard,
    eventually,
)

pytestmark = pytest.mark.processes

# Does what it is told in JSON and answers with what came of it, or with the error.
OBEDIENT = (
    GREETS
    + """
import dataclasses
from shardws import ShardwsError
server.config("BufferMessage=True")
server.config("OutHighMark=256KiB")
async def on_data_in(e):
    order = json.loads(e.text)
    try:
        result = await obey(order["do"], order.get("to"), order.get("with"))
    except ShardwsError as error:
        result = {"error": error.code}
    server.send_text(e.connection_id, json.dumps({"result": result}, default=bytes.decode))
async def obey(do, to, what):
    match do:
        case "snapshot":
            return dataclasses.asdict(await server.connection(to))
        case "ids":
            return await server.connection_ids()
        case "count":
            return server.web_socket_connection_count
        case "file":
            sent = server.send_file(to, what)
            server.send_text(to, "behind it")
            return (await sent).name
        case "text":
            return (await server.send_text(to, what)).name
        case "bytes":
            return (await server.send(to, what.encode())).name
        case "disconnect":
            server.disconnect_status_code = 3003
            return (await server.disconnect(to)).name
        case "set from afar":
            return dataclasses.asdict(await server.set_connection(to, **what))
        case "keep":
            return (await server.set_connection(to, user_data=what.encode())).user_data
        case "set":
            name, value = what
            setattr(server.connections[to], name, value)
            return getattr(server.connections[to], name)
        case "memory":
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
server.on_data_in = on_data_in
"""
)


def ask(client: ClientConnection, do: str, to: int = 0, given: Any = None) -> Any:
    """Have the client's shard do something; return the result."""
    client.send(json.dumps({"do": do, "to": to, "with": given}))
    return json.loads(client.recv(timeout=DEADLINE))["result"]


@pytest.fixture
def pair(
    run_server: RunServer, write_app: WriteApp
) -> tuple[RunningServer, ClientConnection, ClientConnection, int]:
    """A server of two shards, a client of each, and the id of the second client."""
    server = run_server(write_app(OBEDIENT), shards=2)
    asker, _ = connect_to_shard(server, 0)
    other, hello = connect_to_shard(server, 1)
    return server, asker, other, hello["connection_id"]


Pair = tuple[RunningServer, ClientConnection, ClientConnection, int]


@pytest.mark.surface(
    "WebSocketConnectionCount", "Send", "SendText", "Disconnect", where="other-shard"
)
def test_a_connection_of_another_shard_is_known_and_controlled(pair: Pair) -> None:
    _, asker, other, identity = pair
    shown = ask(asker, "snapshot", identity)
    port = other.socket.getsockname()[1]
    assert shown["connection_id"] == identity
    assert (shown["shard"], shown["remote_host"], shown["remote_port"]) == (1, "127.0.0.1", port)
    assert shown["connected"]
    assert shown["request_uri"] == "/"
    ids = ask(asker, "ids")
    assert identity in ids
    assert len(ids) >= 2
    assert ids == sorted(ids)
    assert ask(asker, "count") >= 2
    assert ask(asker, "text", identity, "hello") == "QUEUED"
    assert ask(asker, "bytes", identity, "bytes") == "QUEUED"
    assert other.recv(timeout=DEADLINE) == "hello"
    assert other.recv(timeout=DEADLINE) == b"bytes"
    assert ask(asker, "set", identity, ["accept_data", False]) == {"error": 211}
    assert not ask(asker, "set from afar", identity, {"accept_data": False})["accept_data"]
    other.send(json.dumps({"do": "count"}))
    assert ask(asker, "set from afar", identity, {"timeout": 77, "data_format": 1})["timeout"] == 77
    assert ask(asker, "set from afar", identity, {"timeout": "soon"}) == {"error": 213}
    assert ask(asker, "keep", identity, "grüße") == "grüße"
    assert ask(asker, "snapshot", identity)["user_data"] == "grüße"
    assert ask(asker, "keep", identity, "x" * 4097) == {"error": 213}
    with pytest.raises(TimeoutError):
        other.recv(timeout=0.2)
    assert ask(asker, "set from afar", identity, {"accept_data": True})["data_format"] == 1
    assert json.loads(other.recv(timeout=DEADLINE))["result"] >= 2
    assert ask(asker, "disconnect", identity) == "QUEUED"
    with pytest.raises(Exception, match="3003"):
        other.recv(timeout=DEADLINE)
    assert ask(asker, "snapshot", identity) == {"error": 1117}
    assert identity not in ask(asker, "ids")


@pytest.mark.surface("SendFile", "WebSocketConnectionDataFormat", where="other-shard")
def test_a_file_goes_to_a_connection_of_another_shard(pair: Pair, tmp_path: Path) -> None:
    _, asker, other, identity = pair
    text = "äöü€" * 200_000
    (tmp_path / "file").write_text(text)
    assert ask(asker, "file", identity, str(tmp_path / "missing")) == {"error": 302}
    for data_format, expected in ((0, text.encode()), (1, text)):
        assert ask(other, "set", identity, ["data_format", data_format]) == data_format
        other.protocol.max_message_size = None
        assert ask(asker, "file", identity, str(tmp_path / "file")) == "QUEUED"
        assert other.recv(timeout=DEADLINE) == expected
        assert other.recv(timeout=DEADLINE) == "behind it"
    assert ask(asker, "file", identity + 1000, str(tmp_path / "file")) == "GONE"


@pytest.mark.surface("SendFile", where="other-shard")
def test_a_gigabyte_across_shards_costs_neither_of_them_memory(pair: Pair, tmp_path: Path) -> None:
    server, asker, owner, _ = pair
    witness, _ = connect_to_shard(server, 0)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(1 << 30)
    before = ask(witness, "memory"), ask(owner, "memory")
    sock, greeting = open_silent(server, 1)
    with sock:
        order = {"do": "file", "to": greeting["connection_id"], "with": str(tmp_path / "big")}
        asker.send(json.dumps(order))
        read = 0
        while read < 64 << 20:
            read += len(sock.recv(1 << 20))
        after = ask(witness, "memory"), ask(owner, "memory")
    assert all(now - then < 24 << 20 for now, then in zip(after, before, strict=True))
    result = json.loads(asker.recv(timeout=DEADLINE))["result"]
    assert result == "DROPPED"


@pytest.mark.surface("SendFile")
def test_a_file_that_gets_shorter_on_its_way_to_another_shard_closes_the_client(
    pair: Pair, tmp_path: Path
) -> None:
    server, asker, _, _ = pair
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    sock, greeting = open_silent(server, 1)
    with sock:
        order = {"do": "file", "to": greeting["connection_id"], "with": str(path)}
        asker.send(json.dumps(order))
        data = sock.recv(1 << 20)
        os.truncate(path, 1000)
        while piece := sock.recv(1 << 20):
            data = data[-4096:] + piece
            if b"\x03\xf3a message could not be finished" in data:  # 1011 in a close frame
                break
    assert b"\x03\xf3a message could not be finished" in data
    assert json.loads(asker.recv(timeout=DEADLINE))["result"] == "DROPPED"
    server.wait_for_line("made shorter")


@pytest.mark.surface("MaxConnections", "WebSocketConnectionCount")
def test_max_connections_is_of_the_whole_server(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(OBEDIENT), "--max-connections", "3", shards=2)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.recv(timeout=DEADLINE)
    assert ask(clients[0], "count") == 3
    for _ in range(6):  # whichever shard the kernel chooses
        with pytest.raises(InvalidStatus) as refused:
            server.connect()
        assert refused.value.response.status_code == 503
    clients[0].close()
    eventually(lambda: ask(clients[1], "count") == 2)
    server.connect().recv(timeout=DEADLINE)
