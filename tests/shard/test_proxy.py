"""Connections behind proxies that speak the PROXY protocol."""

import asyncio
import logging
import struct
from typing import Any, cast

import pytest

from shardws import Connected, ConnectionRequest, WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, listening, new_server, run
from tests.upgrade_request import UPGRADE

V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(
    ">BBH4s4sHH", 0x21, 0x11, 12, bytes([203, 0, 113, 7]), bytes([192, 0, 2, 1]), 4711, 443
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


def proxied_server(recorder: EventRecorder, versions: str = "any") -> WebSocketServer:
    server = new_server()
    server.proxy_protocol = versions
    server.trusted_proxies = "127.0.0.1"

    def on_connection_request(e: ConnectionRequest) -> None:
        recorder.note("request", e.address, e.port)

    server.on_connection_request = on_connection_request
    server.on_connected = lambda e: recorder.note(
        "connected", server.connections[e.connection_id].remote_host
    )
    return server


async def speak(server: WebSocketServer, *pieces: bytes) -> bytes:
    """Send the pieces, each in a write of its own; return the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    except asyncio.IncompleteReadError as error:
        return error.partial
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.surface("WebSocketConnectionRemoteHost", "ConnectionRequest")
@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("is_split", [False, True])
def test_the_header_says_whose_connection_it_is(header: bytes, is_split: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = proxied_server(recorder)
        pieces = [header[:9], header[9:], UPGRADE] if is_split else [header + UPGRADE]
        async with listening(server):
            assert (await speak(server, *pieces)).startswith(b"HTTP/1.1 101")
            assert recorder.events == [
                ("request", "203.0.113.7", 4711),
                ("connected", "203.0.113.7"),
            ]

    run(main())


def test_a_header_that_says_nothing_leaves_the_sockets_own_address() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = proxied_server(recorder)
        async with listening(server):
            for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
                assert (await speak(server, header + UPGRADE)).startswith(b"HTTP/1.1 101")
            hosts = [event[1] for event in recorder.events if event[0] == "connected"]
            assert hosts == ["127.0.0.1"] * 2

    run(main())


@pytest.mark.parametrize(
    ("versions", "data"),
    [
        ("any", UPGRADE),
        ("any", b"PROXY TCP4 not.an.address 192.0.2.1 1 2\r\n" + UPGRADE),
        ("any", b"PROXY " + b"x" * 200),
        ("v1", V2 + UPGRADE),
        ("v2", V1 + UPGRADE),
    ],
    ids=["none", "bad address", "too long", "v2 for v1", "v1 for v2"],
)
def test_a_malformed_header_closes_the_connection_with_one_line(
    versions: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "shardws")

    async def main() -> None:
        recorder = EventRecorder()
        server = proxied_server(recorder, versions)
        async with listening(server):
            assert await speak(server, data) == b""
            assert recorder.events == []
            assert server.web_socket_connection_count == 0

    run(main())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("closed a connection from proxy 127.0.0.1: ")


def test_who_is_no_trusted_proxy_sends_no_header(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = proxied_server(recorder)
        server.trusted_proxies = "10.0.0.0/8"
        async with listening(server):
            assert (await speak(server, UPGRADE)).startswith(b"HTTP/1.1 101")
            assert (await speak(server, V1 + UPGRADE)).startswith(b"HTTP/1.1 400")
            server.trusted_proxies = ""
            assert "TrustedProxies is empty" in caplog.text

    run(main())


def test_a_proxy_that_says_nothing_is_closed_at_the_deadline(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        server = proxied_server(EventRecorder())
        server.default_connection_timeout = 1
        async with listening(server):
            assert await speak(server, b"PROXY TCP4 ") == b""

    run(main())
    assert "no PROXY header in time" in caplog.text


def test_shutdown_ends_who_still_waits_for_a_header() -> None:
    async def main() -> None:
        server = proxied_server(EventRecorder())
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(b"PROXY TCP4 ")
            assert server._shard is not None
            waiting = server._shard.admission._proxied
            for _ in range(1000):
                if waiting:
                    break
                await asyncio.sleep(0)
            assert waiting
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        assert not waiting
        writer.close()

    run(main())


@pytest.mark.surface("AllowedClients")
def test_allowed_clients_is_about_the_client_of_the_header() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = proxied_server(recorder)
        server.on_connection_request = None
        server.allowed_clients = "203.0.113.0/24"
        async with listening(server):
            assert (await speak(server, V1 + UPGRADE)).startswith(b"HTTP/1.1 101")
            other = V1.replace(b"203.0.113.7", b"198.51.100.7")
            assert (await speak(server, other + UPGRADE)).startswith(b"HTTP/1.1 403")

    run(main())


def test_the_pump_serves_what_comes_behind_the_header() -> None:
    """Behind a proxy every connection was left to a transport of the loop."""

    async def main() -> None:
        recorder = EventRecorder()
        server = proxied_server(recorder)
        served: list[bool] = []

        def on_connected(e: Connected) -> None:
            shard = cast(Any, server)._shard
            is_own = shard.find(e.connection_id).transport is None
            served.append(is_own == shard.pump.owns_sockets)

        server.on_connected = on_connected
        async with listening(server):
            for pieces in ([V1 + UPGRADE], [V2, UPGRADE]):
                assert (await speak(server, *pieces)).startswith(b"HTTP/1.1 101")
        assert served == [True, True]

    run(main())
