"""How a TLS connection ends, and what the application is told of it."""

import asyncio
import ssl
import time

import pytest

from shardws import WebSocketServer
from shardws.net.connection import Connection
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, receive, run
from tests.shard.tls_client import TLSClient, connect_tls
from tests.shard.tls_server_fixture import (
    VERSIONS,
    client_context,
    connect_wss,
    listening_tls,
    tls_server,
)
from tests.upgrade_request import UPGRADE

CLOSE_1000 = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
LAST_WORDS_S = 2.0  # of a peer, after ours; see docs/topics/tls.md
TRUNCATED = "the peer closed TCP without ending the TLS stream"


def only_connection(server: WebSocketServer) -> Connection:
    assert server._embedded is not None
    (connection,) = server._embedded.shard.connections
    return connection


async def opened(server: WebSocketServer, context: ssl.SSLContext | None = None) -> TLSClient:
    """Return a client whose WebSocket is open."""
    peer = await connect_tls(server, context)
    peer.send(UPGRADE)
    assert (await peer.receive(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return peer


@pytest.mark.parametrize("version", VERSIONS)
def test_after_the_close_frames_comes_close_notify_and_fin(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, client_context(version))
            peer.send(CLOSE_1000)
            assert await peer.receive() == b"\x88\x02\x03\xe8"
            assert peer.has_ended
            peer.close_notify()
            assert await peer.read() == b""
            await peer.close()
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000, "")]
        assert not [event for event in recorder.events if event[0] == "error"]

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_close_notify_is_answered(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, client_context(version))
            peer.close_notify()
            assert await peer.receive() == b""
            assert peer.has_ended
            await peer.close()
            ended = await recorder.wait_for("disconnected")
            assert ended == [("disconnected", 1006, "the peer ended the TLS stream")]
        assert not [event for event in recorder.events if event[0] == "error"]

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_fin_without_close_notify_is_abnormal(version: ssl.TLSVersion) -> None:
    """Whoever cuts the wire must not look like a client that left (RFC 8446 6.1)."""

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, client_context(version))
            peer.writer.write_eof()
            assert await recorder.wait_for("disconnected") == [("disconnected", 1006, TRUNCATED)]
            assert await recorder.wait_for("error") == [("error", 283, TRUNCATED)]
            await peer.close()

    run(main())


def test_fin_behind_the_close_frame_is_no_trouble() -> None:
    """Most WebSocket clients end TCP without close_notify once both close frames were sent."""

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server)
            peer.send(CLOSE_1000)
            peer.writer.write_eof()
            assert await peer.receive() == b"\x88\x02\x03\xe8"
            await peer.close()
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000, "")]
        assert not [event for event in recorder.events if event[0] == "error"]

    run(main())


def test_a_reset_is_abnormal_too() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server)
            peer.writer.transport.abort()
            (ended,) = await recorder.wait_for("disconnected")
            assert ended[1] == 1006

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_record_is_answered_by_an_alert(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, client_context(version))
            record = bytearray(peer.encrypt(b"\x81\x80\x00\x00\x00\x00"))
            record[-1] ^= 0x40
            peer.writer.write(bytes(record) + b"and more of it" * 1000)
            with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
                await peer.receive()
            await peer.close()
            (error,) = await recorder.wait_for("error")
            assert error[1] == 282
            (ended,) = await recorder.wait_for("disconnected")
            assert ended == ("disconnected", 1006, error[2])

    run(main())


def test_our_disconnect_waits_for_the_peers_close_frame() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server) as url:
            ws = await connect_wss(url)
            await recorder.wait_for("connected")
            server.disconnect(recorder.events[0][1])
            await asyncio.wait_for(ws.wait_closed(), DEADLINE_S)
            assert ws.close_code == 1000
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000, "")]

    run(main())


def test_a_violation_is_answered_by_a_close_frame_that_arrives() -> None:
    """The client goes on writing; closing at once would reset the close frame away."""

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server)
            peer.send(b"\x81\x05hello")  # not masked
            for _ in range(50):
                peer.send(b"\x82\x80\x00\x00\x00\x00" * 1000)
            found = await peer.receive()
            assert found.startswith(b"\x88")
            assert found[2:4] == b"\x03\xea"  # 1002
            assert peer.has_ended
            await peer.close()
            (ended,) = await recorder.wait_for("disconnected")
            assert ended[1] == 1002

    run(main())


def test_shutdown_says_1001_to_everyone() -> None:
    async def main() -> None:
        server = tls_server()
        async with listening_tls(server) as url:
            clients = [await connect_wss(url) for _ in range(5)]
            for ws in clients:
                await ws.send("x")
                assert await receive(ws) == "x"
            done = server.shutdown_complete()
            await asyncio.wait_for(done, DEADLINE_S)
            for ws in clients:
                await asyncio.wait_for(ws.wait_closed(), DEADLINE_S)
                assert ws.close_code == 1001

    run(main())


def test_the_server_does_not_wait_for_ever_for_a_peer_that_keeps_tcp_open() -> None:
    """Close frames and close_notify were said; the peer's FIN never comes."""

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        server.on_disconnected = lambda e: recorder.note("gone")
        async with listening_tls(server):
            peer = await opened(server)
            connection = only_connection(server)
            peer.send(CLOSE_1000)
            await peer.receive()
            assert peer.has_ended
            assert connection.deadline <= time.monotonic() + LAST_WORDS_S
            await recorder.wait_for("gone")
            await peer.close()

    run(main())


def test_a_stall_does_not_take_from_the_peers_time_for_our_last_words() -> None:
    """The shard looks at its clock four times a second, but not while something holds it up."""

    async def main() -> None:
        server = tls_server()
        async with listening_tls(server):
            peer = await opened(server)
            connection = only_connection(server)
            begun = time.monotonic()
            connection.owner.now -= 60  # as after a stall
            peer.send(CLOSE_1000)
            await peer.receive()
            assert connection.deadline >= begun + LAST_WORDS_S
            await peer.close()

    run(main())
