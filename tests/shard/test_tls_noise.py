"""Peers that do not speak TLS, or not to the end: closed cleanly, logged once, nobody disturbed."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator

import pytest

from shardws import WebSocketServer
from shardws.net import handshake_limiter
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run
from tests.shard.tls_client import TCPClient, TLSClient, s_client
from tests.shard.tls_server_fixture import (
    client_context,
    connect_wss,
    listening_tls,
    record_events,
    tls_server,
)
from tests.upgrade_request import UPGRADE


@contextlib.asynccontextmanager
async def bystander(server: WebSocketServer) -> AsyncIterator[None]:
    """Another client, before and after."""
    async with listening_tls(server) as url:
        ws = await connect_wss(url)
        await ws.send("before")
        assert await receive(ws) == "before"
        yield
        await ws.send("after")
        assert await receive(ws) == "after"
        await ws.close()


def hello() -> bytes:
    """Return the ClientHello of the stdlib."""
    out = ssl.MemoryBIO()
    peer = client_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.do_handshake()
    return out.read()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged at INFO and above about the connections of a test."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("shardws") and record.levelno >= logging.INFO
    ]


NOISE = {
    "plain HTTP": (UPGRADE, "plain HTTP on the TLS port"),
    "a proxy request": (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "an HTTP proxy request on the TLS port"),
    "SSL 3": (b"\x16\x03\x00" + hello()[3:9] + b"\x03\x00" + hello()[11:], "TLS handshake failed"),
    "SSL 2": (
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(35),
        "TLS handshake failed",
    ),
    "zeros": (bytes(3000), "TLS handshake failed"),
    "letters": (b"hello world " * 500, "TLS handshake failed"),
    "a record without end": (b"\x16\x03\x01\xff\xff" + bytes(100_000), "TLS handshake failed"),
    "a hello of a mebibyte": (
        b"".join(b"\x16\x03\x01\x40\x00" + b"\x01\x10\x00\x00" + bytes(16380) for _ in range(6)),
        "TLS handshake failed",
    ),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_is_refused_with_one_line(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    data, reason = NOISE[kind]
    caplog.set_level(logging.INFO)

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        record_events(server, recorder)
        async with bystander(server):
            peer = await TCPClient.connect(server)
            peer.writer.write(data)
            answer = await peer.read()
            assert answer == b"" or answer[0] == 0x15  # an alert
            await peer.close()
            (error,) = await recorder.wait_for("error")
            assert error[1] == 280
            assert reason in error[2]
        assert len([event for event in recorder.events if event[0] == "error"]) == 1

    run(main())
    (line,) = lines(caplog)
    assert line.startswith("refused 127.0.0.1:")
    assert reason in line


def test_tls_on_the_plain_port_is_refused_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        server = new_server()
        async with listening(server) as url:
            ws = await client(url)
            peer = await TCPClient.connect(server)
            peer.writer.write(hello())
            assert (await peer.read()).startswith(b"HTTP/1.1 400 ")
            await peer.close()
            await ws.close()

    run(main())
    (line,) = lines(caplog)
    assert "this is not HTTP" in line


@pytest.mark.parametrize("size", [4, 300, -1])
@pytest.mark.surface("DefaultConnectionTimeout")
def test_half_a_hello_ends_at_the_deadline(size: int, caplog: pytest.LogCaptureFixture) -> None:
    """One deadline covers the TLS handshake and the opening request."""
    caplog.set_level(logging.INFO)

    async def main() -> None:
        server = tls_server()
        server.default_connection_timeout = 1
        async with bystander(server):
            peer = await TCPClient.connect(server)
            start = asyncio.get_running_loop().time()
            peer.writer.write(hello()[:size])
            assert await peer.read() == b""
            assert 0.7 < asyncio.get_running_loop().time() - start < 3
            await peer.close()

    run(main())
    (line,) = lines(caplog)
    assert "408" in line


def test_a_handshake_without_a_request_ends_at_the_same_deadline() -> None:
    async def main() -> None:
        server = tls_server()
        server.default_connection_timeout = 1
        async with bystander(server):
            peer = await TLSClient.connect(server)
            await peer.handshake()
            assert (await peer.receive()).startswith(b"HTTP/1.1 408 ")
            assert peer.has_ended
            await peer.close()

    run(main())


@pytest.mark.surface("MaxConnections")
def test_a_full_server_says_503_within_tls() -> None:
    async def main() -> None:
        server = tls_server()
        server.max_connections = 1
        async with bystander(server):
            peer = await TLSClient.connect(server)
            await peer.handshake()
            peer.send(UPGRADE)
            answer = await peer.receive()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After" in answer
            assert peer.has_ended
            await peer.close()

    run(main())


def test_a_request_that_is_no_websocket_gets_its_answer() -> None:
    async def main() -> None:
        server = tls_server()
        async with bystander(server):
            peer = await TLSClient.connect(server)
            await peer.handshake()
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await peer.receive()).startswith(b"HTTP/1.1 426 ")
            assert peer.has_ended
            await peer.close()

    run(main())


def test_who_knocks_and_goes_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        server = tls_server()
        async with bystander(server):
            for _ in range(5):
                await (await TCPClient.connect(server)).close()

    run(main())
    assert lines(caplog) == []


def test_many_that_stop_halfway_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """MaxHandshakes are taken by peers that never go on: they give way."""
    monkeypatch.setattr(handshake_limiter, "PATIENCE_S", 0.3)

    async def main() -> None:
        server = tls_server()
        server.max_handshakes = 4
        server.default_connection_timeout = 60
        async with bystander(server):
            stuck = [await TCPClient.connect(server) for _ in range(8)]
            for peer in stuck:
                peer.writer.write(hello())
            for peer in stuck[:4]:
                await asyncio.wait_for(peer.reader.readexactly(5), 5)  # its handshake goes on
            ws = await connect_wss(f"wss://127.0.0.1:{server.local_port}")
            await ws.send("through")
            assert await receive(ws) == "through"
            await ws.close()
            for peer in stuck:
                await peer.close()

    run(main())


def test_a_burst_of_handshakes_is_served_whole() -> None:
    async def main() -> None:
        server = tls_server()
        server.max_handshakes = 5
        async with bystander(server):
            url = f"wss://127.0.0.1:{server.local_port}"
            context = client_context()
            clients = await asyncio.gather(*(connect_wss(url, context) for _ in range(60)))
            for ws in clients:
                await ws.send("x")
            assert [await receive(ws) for ws in clients] == ["x"] * 60
            await asyncio.gather(*(ws.close() for ws in clients))

    run(main())


def test_a_flood_of_key_updates_ends_one_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with bystander(server):
            await s_client(server, "-tls1_3", commands=b"K\n" * 33, answer=b"KEYUPDATE\n")
            (error,) = await recorder.wait_for("error")
            assert error[1] == 284
        assert len([event for event in recorder.events if event[0] == "error"]) == 1

    run(main())
    (line,) = lines(caplog)
    assert "too many records without data" in line
