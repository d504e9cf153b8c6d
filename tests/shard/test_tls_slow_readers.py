"""A client that reads slowly over TLS lives as long as bytes move."""

import asyncio
import socket

from shardws import WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, run
from tests.shard.tls_client import TLSClient
from tests.shard.tls_server_fixture import listening_tls, tls_server
from tests.upgrade_request import UPGRADE

SIZE = 3_000_000  # of the message that is read slowly
PIECE = 16_384
PAUSE_S = 0.05
SLOW_S = 3.5  # of reading slowly: several times each timeout below
CLOSE_1000 = b"\x88\x82\x00\x00\x00\x00\x03\xe8"


def slow_server(recorder: EventRecorder) -> WebSocketServer:
    server = tls_server(recorder)
    server.out_high_mark = 2 * SIZE
    server.ping_interval = 0
    return server


async def opened(server: WebSocketServer, recorder: EventRecorder) -> tuple[TLSClient, int]:
    """Return a client whose kernel holds little, and its id."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.local_port))
    peer = TLSClient(*await asyncio.open_connection(sock=sock, limit=PIECE))
    await peer.handshake()
    peer.send(UPGRADE)
    await peer.receive(b"\r\n\r\n")
    return peer, (await recorder.wait_for("connected"))[0][1]


async def read_slowly(peer: TLSClient) -> int:
    """Read for a while without a word; return the bytes of TLS."""
    loop = asyncio.get_running_loop()
    end, got = loop.time() + SLOW_S, 0
    while loop.time() < end:
        piece = await asyncio.wait_for(peer.reader.read(PIECE), DEADLINE_S)
        assert piece, "the server cut a reader that was at work"
        peer.feed(piece)
        got += len(piece)
        await asyncio.sleep(PAUSE_S)
    assert got < SIZE, "there was always something to read"
    return got


def test_an_unanswered_ping_behind_a_long_message_is_no_death() -> None:
    """F01 over TLS."""

    async def main() -> None:
        recorder = EventRecorder()
        server = slow_server(recorder)
        server.ping_interval = server.ping_timeout = 1
        async with listening_tls(server):
            peer, identity = await opened(server, recorder)
            server.send(identity, bytes(SIZE))
            await read_slowly(peer)
            assert not recorder.named("disconnected")
            await peer.receive(b"\x89\x08")  # the ping arrives at last
            await peer.close()

    run(main())


def test_a_timeout_does_not_end_a_connection_on_which_bytes_move() -> None:
    """F01 over TLS: DefaultTimeout."""

    async def main() -> None:
        recorder = EventRecorder()
        server = slow_server(recorder)
        server.default_timeout = 1
        async with listening_tls(server):
            peer, identity = await opened(server, recorder)
            server.send(identity, bytes(SIZE))
            await read_slowly(peer)
            assert not recorder.named("disconnected")
            assert not recorder.named("error")
            assert (await recorder.wait_for("error"))[0][1] == 301  # nothing is read any more
            await peer.close()

    run(main())


def test_a_close_frame_behind_a_long_message_is_waited_for() -> None:
    """F01 over TLS: CloseTimeout."""

    async def main() -> None:
        recorder = EventRecorder()
        server = slow_server(recorder)
        server.close_timeout = 1
        async with listening_tls(server):
            peer, identity = await opened(server, recorder)
            server.send(identity, bytes(SIZE))
            server.disconnect(identity)
            await read_slowly(peer)
            assert not recorder.named("disconnected")
            got = await peer.receive(b"\x88\x02\x03\xe8")
            peer.send(CLOSE_1000)
            assert got.endswith(b"\x88\x02\x03\xe8")
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000, "")]
            await peer.close()

    run(main())
