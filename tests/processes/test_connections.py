"""conns, conn, send, kick, publish, broadcast: from outside the server to its connections."""

import base64
import json
import select
import signal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shardws.control import connect_blocking
from tests.proc import is_sleeping
from tests.processes.applications import BLOCKS
from tests.processes.conftest import (
    DEADLINE,
    RunServer,
    WriteApp,
    assert_echo,
    connect_to_shard,
    eventually,
    greeting,
)
from tests.processes.test_control import command, dial, read_line

pytestmark = pytest.mark.processes


def test_send_reaches_any_shard(run_server: RunServer) -> None:
    server = run_server(shards=2)
    for slot in (0, 1):
        client, hello = connect_to_shard(server, slot)
        done = command(server, "send", str(hello["connection_id"]), "from outside é")
        assert (done.returncode, done.stdout) == (0, "QUEUED\n"), done.stderr
        assert client.recv(timeout=DEADLINE) == "from outside é"
        data = base64.b64encode(b"\x00\xff").decode()
        assert server.ask("send", id=hello["connection_id"], data=data) == {"outcome": "QUEUED"}
        assert client.recv(timeout=DEADLINE) == b"\x00\xff"


def test_kick_by_id_and_by_address(run_server: RunServer) -> None:
    server = run_server(shards=2)
    first, hello = connect_to_shard(server, 0)
    others = [connect_to_shard(server, slot)[0] for slot in (0, 1)]
    done = command(server, "kick", str(hello["connection_id"]), "--code", "4001", "--reason", "you")
    assert (done.returncode, done.stdout) == (
        0,
        f"close 4001 to connection {hello['connection_id']}: QUEUED\n",
    ), done.stderr
    with pytest.raises(ConnectionClosed) as closed:
        first.recv(timeout=DEADLINE)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "you")
    assert command(server, "kick", "--ip", "10.1.2.3").stdout == "0 connections closed\n"
    server.wait_for_status(lambda report: report["totals"]["connections"] == 2)
    assert command(server, "kick", "--ip", "[::1]").stdout == "0 connections closed\n"
    nonsense = command(server, "kick", "--ip", "nonsense")
    assert (nonsense.returncode, nonsense.stderr) == (
        1,
        "shardws: 'nonsense' is not an IP address\n",
    )
    assert command(server, "kick", "--ip", "127.0.0.1").stdout == "2 connections closed\n"
    for client in others:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=DEADLINE)


def test_conns_and_conn(run_server: RunServer) -> None:
    server = run_server(shards=2)
    ids = {connect_to_shard(server, slot)[1]["connection_id"]: slot for slot in (0, 1)}
    server.wait_for_status(lambda report: report["totals"]["connections"] == 2)
    report = json.loads(command(server, "conns", "--json").stdout)
    assert {row["id"]: row["shard"] for row in report["connections"]} == ids
    assert report["total"] == 2
    assert report["connections"][0]["address"] == "127.0.0.1"
    lines = command(server, "conns", "--shard", "1").stdout.splitlines()
    assert lines[0].split() == [
        "ID", "SHARD", "ADDRESS", "SILENT", "PING", "QUEUE", "GROUPS", "RESUMED", "PATH",
    ]  # fmt: skip
    assert lines[1].split()[1] == "1"
    assert lines[2] == "1 connections"
    one = next(iter(ids))
    shown = json.loads(command(server, "conn", str(one), "--json").stdout)
    assert (shown["id"], shown["host"]) == (one, f"127.0.0.1:{server.port}")
    assert f"id             {one}" in command(server, "conn", str(one)).stdout


def test_conns_page_by_page(run_server: RunServer) -> None:
    """`conns` ended at its limit, and nothing told how to see the others."""
    server = run_server(shards=1)
    clients = [server.connect() for _ in range(5)]
    ids = [greeting(client)["connection_id"] for client in clients]
    seen: list[int] = []
    options: list[str] = []
    while True:
        page = json.loads(command(server, "conns", "--limit", "2", "--json", *options).stdout)
        seen += [row["id"] for row in page["connections"]]
        if "next" not in page:
            break
        options = ["--after", str(page["next"][0])]
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 5
    shown = command(server, "conns", "--limit", "2").stdout.splitlines()
    assert shown[-2].startswith("older ones of shard 0: --after ")
    assert shown[-1] == "2 of 5 connections"
    gone = command(server, "conns", "--after", str(GONE + 1))
    assert (gone.returncode, gone.stderr) == (1, f"shardws: no such connection: {GONE + 1}\n")


def test_secrets_in_a_target_are_not_listed(run_server: RunServer) -> None:
    server = run_server(shards=1)
    server.url_path = "/chat?token=secret"
    greeting(server.connect())
    listed = command(server, "conns").stdout
    assert "/chat" in listed
    assert "secret" not in listed


def test_a_client_of_many_groups_does_not_cost_its_shard(run_server: RunServer) -> None:
    """`shardws conn` answered with 3 MB on a channel of 1 MiB, and the shard was killed for it."""
    server = run_server(shards=1)
    pid = server.shard(0)["pid"]
    client = server.connect()
    identity = greeting(client)["connection_id"]
    for number in range(1000):
        client.send(json.dumps({"join": f"{number:04}" + "é" * 500}, ensure_ascii=False))
    client.send("done")
    assert client.recv(timeout=DEADLINE) == "done"
    shown = json.loads(command(server, "conn", str(identity), "--json").stdout)
    assert (shown["groups"], shown["group_names"][0]) == (1000, "0000" + "é" * 500)
    assert len(shown["group_names"]) + shown["more_groups"] == 1000
    assert f"and {shown['more_groups']} more\n" in command(server, "conn", str(identity)).stdout
    assert server.shard(0)["pid"] == pid


def test_publish_and_broadcast_reach_every_shard(run_server: RunServer) -> None:
    server = run_server(shards=2)
    member, _ = connect_to_shard(server, 0)
    other, _ = connect_to_shard(server, 1)
    member.send(json.dumps({"join": "news"}))
    assert_echo(member, "ping")
    assert server.ask("publish", group="news", text="to members") == {"outcome": "QUEUED"}
    assert member.recv(timeout=DEADLINE) == "to members"
    assert server.ask("broadcast", text="to all") == {"outcome": "QUEUED"}
    assert member.recv(timeout=DEADLINE) == "to all"
    assert other.recv(timeout=DEADLINE) == "to all", "it got nothing before"


GONE = 123 << 27
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"do": "send", "text": "x"}, "id must be a whole number"),
    "id zero": ({"do": "send", "id": 0, "text": "x"}, "no such connection: 0"),
    "id too large": ({"do": "conn", "id": 1 << 60}, f"no such connection: {1 << 60}"),
    "other slot": ({"do": "conn", "id": GONE + 1}, f"no such connection: {GONE + 1}"),
    "free id": ({"do": "kick", "id": 999}, "no such connection: 999"),
    "other node": ({"do": "conn", "id": (1 << 43) + 1}, f"no such connection: {(1 << 43) + 1}"),
    "no payload": ({"do": "broadcast"}, "say text or data"),
    "both": ({"do": "broadcast", "text": "x", "data": ""}, "say text or data"),
    "no base64": ({"do": "broadcast", "data": "!"}, "data must be base64"),
    "lone surrogate": ({"do": "broadcast", "text": "\ud800"}, "the text is no UTF-8"),
    "no text": ({"do": "broadcast", "text": 5}, "text must be text"),
    "no group": ({"do": "publish", "text": "x"}, "group must be text"),
    "bad limit": ({"do": "conns", "limit": "many"}, "limit must be a whole number"),
    "negative limit": ({"do": "conns", "limit": -1}, "limit must be a whole number of 0 or more"),
    "no address": ({"do": "kick", "address": "nonsense"}, "'nonsense' is not an IP address"),
    "a number": ({"do": "kick", "address": 7}, "7 is not an IP address"),
    "nobody": ({"do": "kick"}, "None is not an IP address"),
    "bad page": ({"do": "conns", "after": "x"}, "id must be a whole number"),
    "bad sort": ({"do": "conns", "sort": "luck"}, "sort by one of id, queue_bytes"),
    "bad shard": ({"do": "conns", "shard": 77}, "shard 77 is not serving"),
    "bad code": ({"do": "kick", "address": "127.0.0.1", "code": 1005}, "a close frame cannot"),
}


def test_what_makes_no_sense_is_refused_with_a_reason(run_server: RunServer) -> None:
    server = run_server(shards=1)
    greeting(server.connect())
    for name, (request, words) in REFUSED.items():
        with dial(server) as sock:  # a client of ours would not send all of them
            sock.sendall(json.dumps(request).encode() + b"\n")
            answer = read_line(sock)
        assert answer["ok"] is False, name
        assert words in str(answer["error"]), name
    assert server.status()["ready"]


def test_a_send_to_a_closed_connection_fails(run_server: RunServer) -> None:
    server = run_server(shards=1)
    client = server.connect()
    connection_id = greeting(client)["connection_id"]
    client.close()
    server.wait_for_status(lambda report: report["totals"]["connections"] == 0)
    done = command(server, "send", str(connection_id), "hello?")
    assert done.returncode == 1
    assert done.stderr == f"shardws: no such connection: {connection_id}\n"


def test_a_shard_that_stands_still_holds_up_nobody_else(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """Its request is given up in time; meanwhile the supervisor answers others at once."""
    server = run_server(write_app(BLOCKS), shards=1)
    stuck = server.connect()
    server.wait_for_status(lambda report: report["totals"]["connected"] == 1)
    connection_id = server.ask("conns")["connections"][0]["id"]
    stuck.send("block")
    eventually(lambda: is_sleeping(server.shard(0)["pid"]))
    with dial(server) as slow, connect_blocking(server.run_dir) as quick:
        slow.sendall(json.dumps({"do": "conn", "id": connection_id}).encode() + b"\n")
        assert quick.ask("status")["ready"]
        assert select.select([slow], [], [], 0)[0] == [], "it still waits for its reply"
        answer = read_line(slow)
    reason = "its shard is down or does not reply"
    assert answer == {"ok": False, "error": reason, "code": 10065}
    server.signal(signal.SIGINT)
