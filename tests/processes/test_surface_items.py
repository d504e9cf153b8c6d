"""Each item of a connection, each method and event: in three places, plain and over TLS."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.processes.conftest import DEADLINE, RunServer, eventually
from tests.processes.surface_places import PLACES, Place

pytestmark = pytest.mark.processes

Start = Callable[..., Place]


VARIANTS = [f"{where} {over}" for where in PLACES for over in ("plain", "tls")]
OWN = [variant for variant in VARIANTS if "other-shard" not in variant]


@pytest.fixture(params=VARIANTS)
def start(request: pytest.FixtureRequest, launch: RunServer, tmp_path: Path) -> Iterator[Start]:
    """Start the server in one place: start(setting=value, ...)."""
    where, over = request.param.split()
    place = Place(where, launch, tmp_path, over == "tls")
    yield place.start
    place.end()


@pytest.mark.surface(
    "WebSocketConnectionAcceptData",
    "WebSocketConnectionBytesSent",
    "WebSocketConnectionConnected",
    "WebSocketConnectionConnectionId",
    "WebSocketConnectionDataFormat",
    "WebSocketConnectionHost",
    "WebSocketConnectionLocalAddress",
    "WebSocketConnectionOrigin",
    "WebSocketConnectionReadyToSend",
    "WebSocketConnectionRemoteHost",
    "WebSocketConnectionRemotePort",
    "WebSocketConnectionRequestHeaders",
    "WebSocketConnectionRequestURI",
    "WebSocketConnectionSubProtocols",
    "WebSocketConnectionTimeout",
    "WebSocketConnectionCount",
    "ConnectionUID",
    "MessageLength",
    "SSLNegotiatedCipher",
    "SSLNegotiatedCipherStrength",
    "SSLNegotiatedCipherSuite",
    "SSLNegotiatedKeyExchange",
    "SSLNegotiatedKeyExchangeStrength",
    "SSLNegotiatedProtocol",
    where=("in-process", "same-shard", "other-shard"),
    over=("plain", "tls"),
)
def test_what_is_known_of_a_connection(start: Start) -> None:
    place = start()
    origin = f"http{'s' if place.authority else ''}://127.0.0.1:{place.port}"
    asker, target, identity = place.pair("/a?b=1", origin=origin, subprotocols=["one", "two"])
    found = asker.read(identity)
    assert target.request is not None
    headers = target.request.headers
    expected = {
        "accept_data": True,
        "connected": True,
        "connection_id": str(identity),
        "data_format": 0,
        "host": headers["Host"],
        "local_address": "127.0.0.1",
        "origin": origin,
        "ready_to_send": True,
        "remote_host": "127.0.0.1",
        "remote_port": target.socket.getsockname()[1],
        "request_headers": "\r\n".join(f"{name}: {value}" for name, value in headers.raw_items()),
        "request_uri": "/a?b=1",
        "sub_protocols": "one, two",
        "timeout": 0,
        "MessageLength": "0",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["ConnectionUID"].endswith(f"-{identity:014x}")
    check_negotiated(found, target)
    assert asker.ask("send", identity, "hello") == "QUEUED"
    assert target.recv(timeout=DEADLINE) == b"hello"
    assert eventually(lambda: asker.read(identity)["bytes_sent"] == 5)
    assert asker.ask("property", 0, "web_socket_connection_count") >= 2
    nobody = identity + 1000
    assert asker.ask("read", nobody) == {"error": 1117}
    assert asker.ask("read afar", nobody) == {"error": 1117}


def check_negotiated(found: dict[str, Any], target: ClientConnection) -> None:
    if not isinstance(target.socket, ssl.SSLSocket):
        assert found["SSLNegotiatedProtocol"] == found["SSLNegotiatedCipher"] == ""
        assert found["SSLNegotiatedCipherStrength"] == "0"
        return
    cipher = target.socket.cipher()
    assert cipher is not None
    assert found["SSLNegotiatedProtocol"] == target.socket.version()
    assert found["SSLNegotiatedCipher"] == found["SSLNegotiatedCipherSuite"] == cipher[0]
    assert found["SSLNegotiatedCipherStrength"] == str(cipher[2])
    assert found["SSLNegotiatedKeyExchange"]
    assert int(found["SSLNegotiatedKeyExchangeStrength"]) >= 253


@pytest.mark.surface(
    "WebSocketConnectionAcceptData",
    "WebSocketConnectionDataFormat",
    "WebSocketConnectionTimeout",
    "WebSocketConnectionConnected",
    "WebSocketConnectionDataToSend",
    "MessageLength",
    "Config",
    where=("in-process", "same-shard", "other-shard"),
    over=("plain", "tls"),
)
def test_what_can_be_set_of_a_connection(start: Start) -> None:
    place = start()
    asker, target, identity = place.pair()
    asker.set(identity, "timeout", 77)
    assert asker.read(identity)["timeout"] == 77
    asker.set(identity, "timeout", 0)
    witness = place.on_shard(1 if asker.is_afar else 0)[0]
    asker.set(identity, "accept_data", False)
    target.send("held back")
    assert not asker.read(identity)["accept_data"]
    data = ["on_data_in", 1, "held back", True]
    assert data not in place.owner(witness).ask("seen", identity)
    asker.set(identity, "accept_data", True)
    eventually(lambda: data in place.owner(witness).ask("seen", identity))
    for data_format, value, got in ((0, "ü", "ü"), (1, "text", "text"), (2, "ü", "ü".encode())):
        asker.set(identity, "data_format", data_format)
        assert asker.read(identity)["data_format"] == data_format
        assert asker.ask("set", identity, ["data_to_send", value]) is None
        assert target.recv(timeout=DEADLINE) == got
    asker.set(identity, "data_format", 9)
    assert asker.ask("set", identity, ["data_to_send", "ping"]) is None
    pong = ["on_data_in", 10, "ping", True]
    eventually(lambda: pong in place.owner(witness).ask("seen", identity))
    asker.set(identity, "data_format", 0)
    asker.set(identity, "message_length", 4)
    assert asker.read(identity)["MessageLength"] == "4"
    for part in ("ab", "cd"):
        assert asker.ask("send", identity, part) == "QUEUED"
    assert target.recv(timeout=DEADLINE) == b"abcd"
    assert asker.ask("config", 0, f"MessageLength[{identity + 1000}]") == {"error": 1117}
    if asker.is_afar:  # one way only: there is nothing to set from afar
        assert asker.ask("config", 0, f"MessageLength[{identity}]=4") == {"error": 211}
        assert asker.ask("set", identity, ["connected", False]) == {"error": 211}
        assert asker.ask("disconnect", identity) == "QUEUED"
    else:
        assert asker.ask("set", identity, ["connected", False]) is None
    with pytest.raises(ConnectionClosed):
        target.recv(timeout=DEADLINE)
    eventually(lambda: asker.ask("read afar", identity) == {"error": 1117})


@pytest.mark.surface(
    "Send",
    "SendText",
    "SendFile",
    "Disconnect",
    "Error",
    where=("in-process", "same-shard", "other-shard"),
    over=("plain", "tls"),
)
def test_what_can_be_sent_to_a_connection(start: Start, tmp_path: Path) -> None:
    asker, target, identity = start().pair(max_size=None)
    assert asker.ask("send_text", identity, "grüße") == "QUEUED"
    assert target.recv(timeout=DEADLINE) == "grüße"
    assert asker.ask("send", identity, "bytes") == "QUEUED"
    assert target.recv(timeout=DEADLINE) == b"bytes"
    (tmp_path / "file").write_bytes(bytes(range(256)) * 2000)
    assert asker.ask("send_file", identity, str(tmp_path / "file")) == "QUEUED"
    assert target.recv(timeout=DEADLINE) == bytes(range(256)) * 2000
    assert asker.ask("send_file", identity, str(tmp_path / "none")) == {"error": 302}
    assert asker.ask("config", 0, "DisconnectStatusCode=3003") == "3003"
    assert asker.ask("config", 0, "DisconnectStatusDescription=away") == "away"
    assert asker.ask("disconnect", identity) == "QUEUED"
    with pytest.raises(ConnectionClosed) as closed:
        target.recv(timeout=DEADLINE)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3003, "away")
    eventually(lambda: asker.ask("send", identity, "x") == "GONE")
    asker.ask("forget", identity)
    eventually(lambda: ["on_error", 1117] in asker.ask("seen", identity))


@pytest.mark.surface(
    "ReadyToSend",
    "WebSocketConnectionReadyToSend",
    where=("in-process", "same-shard", "other-shard"),
    over=("plain", "tls"),
)
def test_a_full_queue_is_told_and_so_is_its_drain(start: Start) -> None:
    asker, target, identity = start(out_high_mark=65536, out_low_mark=16384).pair(max_queue=1)
    taken = asker.ask("fill", identity, 32768)
    assert taken >= 1
    assert not asker.read(identity)["ready_to_send"]
    before = asker.ask("seen", identity).count(["on_ready_to_send"])
    for _ in range(taken):
        target.recv(timeout=DEADLINE)
    eventually(lambda: asker.ask("seen", identity).count(["on_ready_to_send"]) > before)
    eventually(lambda: asker.read(identity)["ready_to_send"])


@pytest.mark.surface(
    "ConnectionRequest",
    "SSLConnectionRequest",
    "SSLStatus",
    "WebSocketOpenRequest",
    "Connected",
    "ReadyToSend",
    "DataIn",
    "Disconnected",
    "Log",
    where=("in-process", "same-shard"),
    over=("plain", "tls"),
)
@pytest.mark.parametrize("start", OWN, indirect=True)
def test_the_events_of_a_visit_come_in_order(start: Start) -> None:
    place = start()
    asker, target, identity = place.pair()
    port = target.socket.getsockname()[1]
    target.send("hello")
    target.send(b"bytes")
    target.close(3001, "bye")
    eventually(lambda: ["on_disconnected", 3001, "bye"] in asker.ask("seen", identity))
    assert ["on_connection_request", port] in asker.ask("seen", 0)
    told = asker.ask("seen", identity)
    events = [event for event in told if event[0] != "on_log"]
    tls = [["on_ssl_connection_request"], ["on_ssl_status"]] if place.authority else []
    ssl_events = [event for event in events if event[0].startswith("on_ssl")]
    assert ssl_events[: len(tls)] == tls
    assert [event for event in events if event not in ssl_events] == [
        ["on_web_socket_open_request"],
        ["on_connected"],
        ["on_ready_to_send"],
        ["on_data_in", 1, "hello", True],
        ["on_data_in", 2, "bytes", True],
        ["on_disconnected", 3001, "bye"],
    ]
    logs = [event for event in told if event[0] == "on_log"]
    assert logs
    assert all(log == ["on_log", 1, "Info"] for log in logs)


@pytest.mark.surface("Shutdown", where=("in-process", "same-shard"), over=("plain", "tls"))
@pytest.mark.parametrize("start", OWN, indirect=True)
def test_shutdown_ends_the_server_and_tells_its_clients(start: Start) -> None:
    place = start()
    asker, target, _ = place.pair()
    asker.client.send(json.dumps({"do": "shutdown", "to": 0, "with": None}))
    with pytest.raises(ConnectionClosed) as closed:
        target.recv(timeout=DEADLINE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    if place.process is not None:
        assert place.process.wait(DEADLINE) == 0
    else:
        assert place.server is not None
        assert place.server.wait_for_exit() == 0
