"""Settings of a server that are no matter of TLS: their effect in process and on a shard."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.processes.conftest import DEADLINE, RunServer, eventually
from tests.processes.surface_places import Asker, Place

pytestmark = pytest.mark.processes

Start = Callable[..., Place]
HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text()
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(params=["in-process", "same-shard"])
def start(request: pytest.FixtureRequest, launch: RunServer, tmp_path: Path) -> Iterator[Start]:
    """Start the server in one place: start(setting=value, ...)."""
    place = Place(request.param, launch, tmp_path, is_tls=False)
    yield place.start
    place.end()


@contextlib.contextmanager
def raw(place: Place) -> Iterator[tuple[socket.socket, int]]:
    """Yield a client that shows bytes as they come, and its id."""
    with socket.create_connection((place.host, place.port), DEADLINE) as sock:
        sock.sendall(UPGRADE)
        found = b""
        while not found.endswith(b"\r\n\r\n"):
            found += sock.recv(1)
        yield sock, json.loads(b"".join(message(sock)))["connection_id"]


def message(sock: socket.socket) -> Iterator[bytes]:
    """Yield the payloads of the frames of one message."""
    is_last = False
    while not is_last:
        first, size = sock.recv(1)[0], sock.recv(1)[0]
        assert size < 126
        is_last = bool(first & 0x80)
        yield sock.recv(size, socket.MSG_WAITALL)


def receive_all(client: ClientConnection) -> None:
    """Receive until the connection ends, which raises."""
    while True:
        client.recv(timeout=DEADLINE)


def told(asker: Asker, identity: int, name: str) -> list[list[Any]]:
    found: list[list[Any]] = asker.ask("seen", identity)
    return [event for event in found if event[0] == name]


@pytest.mark.surface(
    "DisconnectStatusCode",
    "DisconnectStatusDescription",
    "MaxFrameSize",
    "BufferMessage",
    "Config",
    where=("in-process", "same-shard"),
)
def test_how_messages_and_close_frames_are_made(start: Start) -> None:
    place = start(
        buffer_message=False,
        max_frame_size=4,
        disconnect_status_code=3003,
        disconnect_status_description="away",
    )
    target, identity = place.on_shard(0)
    with raw(place) as (sock, other):
        asker = place.owner(target)
        assert asker.ask("send", other, "0123456789") == "QUEUED"
        assert list(message(sock)) == [b"0123", b"4567", b"89"]
    target.send(b"x" * 300_000)
    eventually(lambda: any(not event[3] for event in told(asker, identity, "on_data_in")))
    assert asker.ask("config", 0, "buffermessage") == "False"
    asker.client.send(json.dumps({"do": "disconnect", "to": identity, "with": None}))
    with pytest.raises(ConnectionClosed) as closed:
        receive_all(target)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3003, "away")


@pytest.mark.surface("WaitForCloseResponse", where=("in-process", "same-shard"))
def test_the_client_is_not_waited_for(start: Start) -> None:
    place = start(wait_for_close_response=False, close_timeout=600)
    asker = place.owner(place.on_shard(0)[0])
    with raw(place) as (sock, identity):
        assert asker.ask("disconnect", identity) == "QUEUED"
        eventually(lambda: told(asker, identity, "on_disconnected"))
        assert told(asker, identity, "on_disconnected") == [["on_disconnected", 1000, ""]]
        assert sock.recv(100) == b"\x88\x02\x03\xe8"
        assert sock.recv(100) == b""


@pytest.mark.surface("DefaultTimeout", "Error", where=("in-process", "same-shard"))
def test_an_idle_connection_ends(start: Start) -> None:
    place = start(default_timeout=2, ping_interval=0)
    with raw(place) as (sock, identity):
        while sock.recv(4096):
            pass
        asker = place.owner(place.on_shard(0)[0])
        assert told(asker, identity, "on_error") == [["on_error", 301]]


@pytest.mark.surface("DefaultConnectionTimeout", where=("in-process", "same-shard"))
def test_who_says_nothing_is_answered_408(start: Start) -> None:
    place = start(default_connection_timeout=1)
    with socket.create_connection((place.host, place.port), DEADLINE) as sock:
        assert sock.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.surface("AllowedClients", where=("in-process", "same-shard"))
def test_only_allowed_clients_connect(start: Start) -> None:
    place = start(allowed_clients="192.0.2.0/24,127.0.0.*")
    asker = place.owner(place.on_shard(0)[0])
    assert asker.ask("config", 0, "AllowedClients=192.0.2.1") == "192.0.2.1"
    with pytest.raises(InvalidStatus) as refused:
        place.connect()
    assert refused.value.response.status_code == 403
    assert asker.ask("property", 0, "web_socket_connection_count") == 1


@pytest.mark.surface(
    "MaxConnections", "WebSocketConnectionCount", where=("in-process", "same-shard")
)
def test_one_more_than_max_connections_gets_503(start: Start) -> None:
    place = start(max_connections=2)
    asker = place.owner(place.on_shard(0)[0])
    place.connect()
    with pytest.raises(InvalidStatus) as refused:
        place.connect()
    assert refused.value.response.status_code == 503
    assert asker.ask("property", 0, "web_socket_connection_count") == 2
    assert asker.ask("config", 0, "MaxConnections") == "2"


@pytest.mark.surface(
    "InBufferSize",
    "OutBufferSize",
    "TcpNoDelay",
    "KeepAliveTime",
    "KeepAliveInterval",
    "KeepAliveRetryCount",
    where=("in-process", "same-shard"),
)
def test_socket_options_are_those_of_the_settings(start: Start) -> None:
    place = start(
        in_buffer_size=40_000,
        out_buffer_size=30_000,
        tcp_no_delay=False,
        keep_alive_time=7_000,
        keep_alive_interval=2_500,
        keep_alive_retry_count=4,
    )
    client, _ = place.on_shard(0)
    port = client.socket.getsockname()[1]
    assert place.owner(client).ask("options", port) == {
        "in": 80_000,  # the kernel doubles them: socket(7)
        "out": 60_000,
        "no_delay": 0,
        "keeps": 1,
        "idle": 7,
        "interval": 3,  # rounded up to seconds
        "count": 4,
    }


@pytest.mark.surface(
    "ConnectionBacklog", "LocalPort", "LocalHost", "Listening", where=("in-process", "same-shard")
)
def test_where_the_server_listens(start: Start) -> None:
    place = start(connection_backlog=7)
    asker = place.owner(place.on_shard(0)[0])
    assert asker.ask("backlog") == 7
    assert asker.ask("property", 0, "local_port") == place.port
    assert asker.ask("property", 0, "local_host") == "127.0.0.1"
    assert asker.ask("property", 0, "listening") is True
    assert asker.ask("assign", 0, ["local_port", 1]) == {"error": 106}
    assert asker.ask("assign", 0, ["local_host", "127.0.0.2"]) == {"error": 107}
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", place.port), DEADLINE)
    if place.where == "same-shard":  # the supervisor decides
        assert asker.ask("assign", 0, ["listening", False]) == {"error": 211}
        return
    assert asker.ask("assign", 0, ["listening", False]) is None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((place.host, place.port), DEADLINE)


@pytest.mark.surface("BindExclusively", where=("in-process", "same-shard"))
@pytest.mark.parametrize("is_exclusive", [True, False])
def test_another_server_may_join_the_port_or_not(start: Start, is_exclusive: bool) -> None:
    place = start(bind_exclusively=is_exclusive)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if is_exclusive:
            if place.where == "in-process":
                with pytest.raises(OSError, match="in use"):
                    sock.bind((place.host, place.port))
            return  # under `shardws run` the lock keeps other servers out: see test_ports
        sock.bind((place.host, place.port))


@pytest.mark.surface(
    "UseIOCP",
    "UseWindowsMessages",
    where=("in-process", "same-shard"),
)
def test_what_is_of_windows_is_kept_and_read_back(start: Start) -> None:
    place = start(use_iocp=True, use_windows_messages=True)
    asker = place.owner(place.on_shard(0)[0])
    assert asker.ask("config", 0, "UseIOCP") == "True"
    assert asker.ask("config", 0, "UseWindowsMessages") == "True"


@pytest.mark.surface("UseIPv6", where=("in-process", "same-shard"))
@pytest.mark.skipif(not HAS_IPV6, reason="this host has no ::1")
def test_clients_of_both_families_are_shown_in_their_own(start: Start) -> None:
    place = start(local_host="", use_ipv6=2)
    client, identity = place.on_shard(0)
    assert place.owner(client).read(identity)["remote_host"] == "127.0.0.1"
    place.host = "[::1]"
    client, identity = place.on_shard(0)
    assert place.owner(client).read(identity)["remote_host"] == "::1"
