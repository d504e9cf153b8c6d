"""Threads of a shard: they reach clients of every shard, and settings of all are set at once."""

import json
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from tests.processes.conftest import DEADLINE, RunServer, WriteApp, connect_to_shard, greeting

pytestmark = pytest.mark.processes

APP = """
import asyncio, json, os, threading
from shardws import ShardwsError, WebSocketServer
server = WebSocketServer()
server.config("BufferMessage=True")
def on_connected(e):
    server.send_text(e.connection_id, json.dumps({
        "connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid()}))
def say(to, what):
    return server.send_text(to, json.dumps(what)).result()
def many(to, sender, count):
    outcomes = [server.send_text(to, json.dumps([sender, n])) for n in range(count)]
    say(to, {"outcomes": sorted({outcome.result().name for outcome in outcomes})})
def afar(to, other):
    say(to, {"sent": server.send(other, b"from a thread").result().name})
    say(to, {"gone": server.send(other + 1, b"").result().name})
    say(to, {"disconnected": server.disconnect(other, 3009, "by a thread").result().name})
def refused(to):
    found = []
    for name in ("SSLCertStore=/x", "DrainDelay=1s", "LocalPort=1", "Shards=3"):
        try:
            server.config(name)
        except ShardwsError as error:
            found.append(error.code)
    say(to, {"refused": found})
def stop(to):
    server.shutdown()
async def configure(to, **values):
    try:
        outcomes = await server.configure(**values)
        result = {slot: error and error.code for slot, error in outcomes.items()}
    except ShardwsError as error:
        result = str(error)
    server.send_text(to, json.dumps({"configured": result}))
def in_a_loop_of_its_own(to, **values):
    asyncio.run(configure(to, **values))
async def on_data_in(e):
    order = json.loads(e.text)
    do, arguments, settings = order["do"], order.get("with", []), order.get("settings", {})
    if do == "configure":
        await configure(e.connection_id, **settings)
    elif do == "limit":
        server.send_text(e.connection_id, json.dumps(
            {"limit": server.max_groups, "shard": server.shard}))
    else:
        threading.Thread(
            target=globals()[do], args=(e.connection_id, *arguments), kwargs=settings).start()
server.on_connected = on_connected
server.on_data_in = on_data_in
"""


def ask(client: ClientConnection, do: str, *arguments: Any, **settings: Any) -> Any:
    client.send(json.dumps({"do": do, "with": arguments, "settings": settings}))
    return json.loads(client.recv(timeout=DEADLINE))


def test_threads_send_to_clients_of_both_shards(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(APP))
    near, _ = connect_to_shard(server, 0)
    far, hello = connect_to_shard(server, 1)
    for sender in range(2):
        near.send(json.dumps({"do": "many", "with": [sender, 300]}))
    found: dict[int, int] = {0: -1, 1: -1}
    ends = 0
    while ends < 2:
        message = json.loads(near.recv(timeout=DEADLINE))
        if isinstance(message, dict):
            assert message == {"outcomes": ["QUEUED"]}
            ends += 1
        else:
            sender, number = message
            assert number == found[sender] + 1
            found[sender] = number
    assert found == {0: 299, 1: 299}
    assert ask(near, "afar", hello["connection_id"]) == {"sent": "QUEUED"}
    assert far.recv(timeout=DEADLINE) == b"from a thread"
    assert json.loads(near.recv(timeout=DEADLINE)) == {"gone": "GONE"}
    assert json.loads(near.recv(timeout=DEADLINE)) == {"disconnected": "QUEUED"}
    with pytest.raises(Exception, match=r"3009.*by a thread"):
        far.recv(timeout=DEADLINE)


def test_a_thread_stops_the_whole_server(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(APP))
    client = server.connect()
    greeting(client)
    client.send(json.dumps({"do": "stop"}))
    assert server.wait_for_exit() == 0


def test_settings_of_all_shards_are_set_from_one(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """`config` in a handler sets its own shard's, and nothing said so."""
    server = run_server(write_app(APP))
    clients = [connect_to_shard(server, slot)[0] for slot in range(2)]
    reply = ask(clients[0], "configure", max_groups=7, out_high_mark="1MiB")
    assert reply == {"configured": {"0": None, "1": None}}
    assert [ask(client, "limit")["limit"] for client in clients] == [7, 7]
    reply = ask(clients[1], "in_a_loop_of_its_own", MaxGroups=8)
    assert reply == {"configured": {"0": None, "1": None}}
    assert [ask(client, "limit")["limit"] for client in clients] == [8, 8]


def test_what_cannot_be_set_is_refused_in_one_error_and_nothing_is_set(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(APP))
    client, _ = connect_to_shard(server, 1)
    settings = {"max_groups": 3, "max_gruops": 1, "deflate": "x", "drain_delay": 1, "local_port": 1}
    text = ask(client, "configure", **settings)["configured"]
    for part in ("did you mean max_groups", "Deflate: ", "DrainDelay", "LocalPort", "(214)"):
        assert part in text
    assert ask(client, "limit")["limit"] != 3
    assert ask(client, "refused") == {"refused": [211, 211, 106, 211]}
