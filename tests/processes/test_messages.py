"""Messages between connections of different shards, by two independent clients."""

import json
import socket
from typing import Any

import pytest
import websocket

from tests.processes.applications import GREETS
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    WriteApp,
    assert_echo,
    connect_to_shard,
)

pytestmark = pytest.mark.processes

MESSAGES = 10_000


def to(identity: int, text: str) -> str:
    return json.dumps({"to": identity, "text": text})


def connections(report: dict[str, Any]) -> int:
    return sum(shard["connections"] for shard in report["shards"])


def received(client: Any) -> Any:
    return json.loads(client.recv(timeout=DEADLINE))


@pytest.mark.parametrize("shards", [2, 4])
def test_a_send_reaches_every_other_shard_both_ways(run_server: RunServer, shards: int) -> None:
    server = run_server(shards=shards)
    members = [connect_to_shard(server, slot) for slot in range(shards)]
    for sender, me in members:
        for receiver, other in members:
            sender.send(to(other["connection_id"], f"from {me['shard']}"))
            assert received(receiver) == {
                "from": me["connection_id"],
                "text": f"from {me['shard']}",
            }
    assert {hello["pid"] for _, hello in members} == set(server.shard_pids().values())


def test_order_is_kept_per_pair_over_ten_thousand_messages(run_server: RunServer) -> None:
    server = run_server(shards=2)
    first, a = connect_to_shard(server, 0)
    second, b = connect_to_shard(server, 1)
    batch = 100
    for start in range(0, MESSAGES, batch):
        numbers = range(start, start + batch)
        for number in numbers:
            first.send(to(b["connection_id"], str(number)))
            second.send(to(a["connection_id"], str(-number)))
        for number in numbers:
            assert received(second) == {"from": a["connection_id"], "text": str(number)}
            assert received(first) == {"from": b["connection_id"], "text": str(-number)}


def test_another_client_library_gets_the_same(run_server: RunServer) -> None:
    server = run_server(shards=2)
    witness, hello = connect_to_shard(server, 0)
    other = websocket.create_connection(server.url, timeout=DEADLINE)
    try:
        me = json.loads(other.recv())
        other.send(to(hello["connection_id"], "from websocket-client"))
        assert received(witness) == {
            "from": me["connection_id"],
            "text": "from websocket-client",
        }
        witness.send(to(me["connection_id"], "back"))
        assert json.loads(other.recv()) == {"from": hello["connection_id"], "text": "back"}
        other.send_binary(b"\x00\x01")
        assert other.recv() == b"\x00\x01"
        other.ping("are you there")
        assert other.recv_data_frame(control_frame=True)[1].data == b"are you there"
    finally:
        other.close()


@pytest.mark.parametrize(
    "message",
    [
        '{"to": ',
        '{"to": "9"}',
        '{"to": true, "text": "x"}',
        '{"to": 1.5, "text": "x"}',
        '{"text": "nobody"}',
        '{"join": 5}',
        '{"group": "", "text": "x"}',
        "{" * 5000,
        "[]",
        "{}",
        "",
        "plain",
    ],
)
def test_what_the_demo_does_not_understand_is_echoed(run_server: RunServer, message: str) -> None:
    server = run_server(shards=2)
    client, _ = connect_to_shard(server, 0)
    client.send(message)
    assert client.recv(timeout=DEADLINE) == message


@pytest.mark.parametrize("target", [0, -1, 7, 2**53 - 1, 2**53, 2**70])
def test_an_unknown_id_is_an_answer_to_the_sender(run_server: RunServer, target: int) -> None:
    server = run_server(shards=2)
    client, _ = connect_to_shard(server, 1)
    client.send(to(target, "nobody there"))
    answer = received(client)
    assert answer["to"] == target
    # 10065: the number would belong to another node, and there is no way to one.
    assert answer["error"] == (10065 if target == 2**53 - 1 else 1117)


def test_a_connection_that_is_over_is_gone_for_every_shard(run_server: RunServer) -> None:
    server = run_server(shards=2)
    gone, hello = connect_to_shard(server, 0)
    far, _ = connect_to_shard(server, 1)
    near, _ = connect_to_shard(server, 0)
    gone.close()
    server.wait_for_status(lambda report: connections(report) == 2)
    for client in (far, near):
        client.send(to(hello["connection_id"], "too late"))
        assert received(client) == {"error": 1117, "to": hello["connection_id"]}


def test_groups_and_broadcast_reach_all_shards(run_server: RunServer) -> None:
    server = run_server(shards=4)
    members = [connect_to_shard(server, slot) for slot in (0, 1, 2, 3, 1)]
    for client, _ in members[:3]:
        client.send('{"join": "room"}')
        assert_echo(client, "joined")
    speaker, me = members[3]
    expected = {"group": "room", "from": me["connection_id"], "text": "hello"}
    publish_until_heard(speaker, [client for client, _ in members[:3]], expected)
    leaver, _ = members[0]
    leaver.send('{"leave": "room"}')
    assert_echo(leaver, "left")
    speaker.send('{"group": "room", "text": "second"}')
    speaker.send('{"broadcast": "to all"}')
    for client, _ in members[1:3]:
        assert received(client)["text"] == "second"
    for client, _ in members:
        assert received(client) == {"from": me["connection_id"], "broadcast": "to all"}


def publish_until_heard(speaker: Any, members: list[Any], expected: dict[str, Any]) -> None:
    """Publish once: the news of a join reaches another shard before the answer to a later echo.

    It travels on the link that the member's shard dialed, as do its messages: so a message
    from each member to the speaker shows that the speaker's shard knows.
    """
    for member in members:
        member.send(to(expected["from"], "I am in"))
    for _ in members:
        assert received(speaker)["text"] == "I am in"
    speaker.send(json.dumps({"group": expected["group"], "text": expected["text"]}))
    for member in members:
        assert received(member) == expected


RELAY = (
    GREETS
    + """
server.buffer_message = True
async def on_data_in(e):
    request = json.loads(e.text)
    if "close" in request:
        outcome = await server.disconnect(request["close"])
    else:
        sends = [server.send_text(to, "x" * request.get("size", 1)) for to in request["to"]]
        outcome = [(await send).name for send in sends]
    server.send_text(e.connection_id, json.dumps({"outcome": outcome}))
def on_error(e):
    print("error", e.connection_id, e.error_code, flush=True)
server.on_data_in = on_data_in
server.on_error = on_error
"""
)


def outcomes(client: Any, **request: Any) -> Any:
    client.send(json.dumps(request))
    return received(client)["outcome"]


def relay(run_server: RunServer, write_app: WriteApp, *options: str) -> RunningServer:
    return run_server(write_app(RELAY), *options, shards=2)


def test_each_awaited_send_tells_its_outcome(run_server: RunServer, write_app: WriteApp) -> None:
    server = relay(run_server, write_app)
    client, _ = connect_to_shard(server, 0)
    near, near_hello = connect_to_shard(server, 0)
    far, far_hello = connect_to_shard(server, 1)
    ids = [near_hello["connection_id"], far_hello["connection_id"], far_hello["connection_id"] + 9]
    assert outcomes(client, to=ids) == ["QUEUED", "QUEUED", "GONE"]
    assert near.recv(timeout=DEADLINE) == "x"
    assert far.recv(timeout=DEADLINE) == "x"
    assert outcomes(client, close=far_hello["connection_id"]) == 0
    server.wait_for_status(lambda report: connections(report) == 2)
    assert outcomes(client, to=[far_hello["connection_id"]]) == ["GONE"]


def test_a_client_that_does_not_read_makes_remote_sends_full(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = relay(run_server, write_app, "--out-high-mark", "65536", "--out-low-mark", "16384")
    client, _ = connect_to_shard(server, 0)
    reader, hello = silent_reader(server, slot=1)
    try:
        seen: set[str] = set()
        for _ in range(2000):
            seen |= set(outcomes(client, to=[hello["connection_id"]] * 4, size=16384))
            if "FULL" in seen:
                break
        assert seen == {"QUEUED", "FULL"}
    finally:
        reader.shutdown()


def silent_reader(server: RunningServer, slot: int) -> tuple[websocket.WebSocket, dict[str, Any]]:
    """Connect to a shard with a client that reads only when asked, into a small buffer."""
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    for _ in range(200):
        reader = websocket.create_connection(server.url, timeout=DEADLINE, sockopt=small)
        hello: dict[str, Any] = json.loads(reader.recv())
        if hello["shard"] == slot:
            return reader, hello
        reader.close()
    pytest.fail(f"200 connects and none on shard {slot}")


def test_a_connection_is_in_so_many_groups_and_no_more(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(RELAY + JOINING), "--max-groups", "2", shards=2)
    client, me = connect_to_shard(server, 0)
    _, other = connect_to_shard(server, 1)
    for identity in (me["connection_id"], other["connection_id"]):
        client.send(json.dumps({"who": identity, "groups": ["a", "b", "a", "c"]}))
        assert received(client) == ["QUEUED", "QUEUED", "QUEUED", "FULL"]


JOINING = """
async def on_data_in(e):
    request = json.loads(e.text)
    sends = [server.join(request["who"], group) for group in request["groups"]]
    server.send_text(e.connection_id, json.dumps([(await send).name for send in sends]))
server.on_data_in = on_data_in
"""
