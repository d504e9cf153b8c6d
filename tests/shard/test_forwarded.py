"""Clients behind trusted proxies that write X-Forwarded-For or Forwarded."""

import pytest

from shardws import WebSocketOpenRequest
from tests.shard.raw_client import response_status
from tests.shard.server_fixture import EventRecorder, listening, new_server, run

PROXIED = [
    ((b"X-Forwarded-For: 203.0.113.7",), "203.0.113.7", 0),
    ((b"X-Forwarded-For: 198.51.100.1, 203.0.113.7:4711",), "203.0.113.7", 4711),
    ((b'Forwarded: for="[2001:db8::1]:99";proto=wss',), "2001:db8::1", 99),
    ((), "127.0.0.1", -1),
]


@pytest.mark.parametrize(("fields", "host", "port"), PROXIED)
@pytest.mark.surface("WebSocketConnectionRemoteHost", "WebSocketConnectionRemotePort")
def test_a_trusted_proxy_tells_whose_connection_it_is(
    fields: tuple[bytes, ...], host: str, port: int
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.trusted_proxies = "127.0.0.0/8"

        def on_open(e: WebSocketOpenRequest) -> None:
            view = server.connections[e.connection_id]
            recorder.note("open request", view.remote_host, view.remote_port)

        server.on_web_socket_open_request = on_open
        async with listening(server):
            assert (await response_status(server, *fields)).startswith(b"HTTP/1.1 101")
            (_, seen_host, seen_port) = recorder.events[0]
            assert seen_host == host
            assert seen_port == port or port < 0 < seen_port

    run(main())


def test_nobody_else_is_believed() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.trusted_proxies = "10.0.0.0/8"

        def on_open(e: WebSocketOpenRequest) -> None:
            recorder.note("open request", server.connections[e.connection_id].remote_host)

        server.on_web_socket_open_request = on_open
        async with listening(server):
            assert (await response_status(server, *PROXIED[0][0])).startswith(b"HTTP/1.1 101")
            assert recorder.events == [("open request", "127.0.0.1")]

    run(main())


@pytest.mark.surface("AllowedClients")
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ((b"X-Forwarded-For: 203.0.113.7",), b"101"),
        ((b"X-Forwarded-For: 198.51.100.1",), b"403"),
        ((), b"403"),
    ],
)
def test_behind_a_proxy_allowed_clients_is_about_the_client(
    fields: tuple[bytes, ...], code: bytes
) -> None:
    async def main() -> None:
        server = new_server()
        server.trusted_proxies = "127.0.0.1"
        server.allowed_clients = "203.0.113.0/24, some.host.invalid"
        async with listening(server):
            assert (await response_status(server, *fields)).startswith(b"HTTP/1.1 " + code)

    run(main())
