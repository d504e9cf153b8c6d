"""SSLStatus and LogSSLPackets: what is told of a handshake, and what never is."""

import asyncio
import ssl

import pytest

from shardws import (
    SSLStatus,
    WebSocketOpenRequest,
)
from tests.shard.server_fixture import EventRecorder, receive, run
from tests.shard.tls_client import connect_tls
from tests.shard.tls_server_fixture import (
    VERSIONS,
    client_context,
    connect_wss,
    listening_tls,
    tls_server,
)


@pytest.mark.surface("SSLStatus")
def test_status_tells_the_steps_and_the_alerts() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()

        def on_ssl_status(e: SSLStatus) -> None:
            recorder.note("status", e.message)

        server.on_ssl_status = on_ssl_status
        async with listening_tls(server):
            peer = await connect_tls(server)
            peer.close_notify()
            await peer.receive()
            await peer.close()
        lines = [event[1] for event in recorder.events]
        assert lines[0] == "handshake started"
        assert "handshake completed" in lines
        assert "alert received: warning close_notify" in lines
        assert not any(line.startswith("packet") for line in lines)

    run(main())


def test_an_async_status_handler_is_followed_before_the_opening_request() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()

        async def on_ssl_status(e: SSLStatus) -> None:
            recorder.note("begins", e.message)
            await asyncio.sleep(0)
            recorder.note("ends", e.message)

        def on_web_socket_open_request(e: WebSocketOpenRequest) -> None:
            recorder.note("open")

        server.on_ssl_status = on_ssl_status
        server.on_web_socket_open_request = on_web_socket_open_request
        async with listening_tls(server) as url:
            ws = await connect_wss(url)
            await ws.send("hello")
            assert await receive(ws) == "hello"
            await ws.close()
        names = [event[0] for event in recorder.events]
        at = names.index("open")
        assert names[:at] == ["begins", "ends"] * (at // 2)
        assert ("ends", "handshake completed") in recorder.events[:at]

    run(main())


@pytest.mark.surface("LogSSLPackets")
@pytest.mark.parametrize("version", VERSIONS)
def test_packets_are_told_without_their_content(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        server.log_ssl_packets = True
        server.on_ssl_status = lambda e: recorder.note("status", e.message)
        async with listening_tls(server) as url:
            ws = await connect_wss(url, client_context(version))
            await ws.send("a secret of the application")
            assert await receive(ws) == "a secret of the application"
            await ws.close()
        lines = [event[1] for event in recorder.events]
        assert any(
            line.startswith("packet received:") and "Handshake ClientHello, " in line
            for line in lines
        )
        assert any(
            line.startswith("packet sent:") and "Handshake ServerHello, " in line for line in lines
        )
        text = "\n".join(lines)
        assert "secret" not in text
        assert b"a secret".hex() not in text

    run(main())


def test_packets_are_not_told_to_nobody() -> None:
    async def main() -> None:
        server = tls_server()
        server.log_ssl_packets = True
        async with listening_tls(server) as url:
            ws = await connect_wss(url)
            await ws.send("hello")
            assert await receive(ws) == "hello"
            await ws.close()

    run(main())
