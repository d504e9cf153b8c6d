"""What was sent before a close arrives, in its order, whatever the client does meanwhile."""

import asyncio
import contextlib
import socket
import time

import pytest

from shardws import WebSocketServer
from shardws.outcomes import Outcome
from tests.shard.server_fixture import (
    DEADLINE_S,
    EventRecorder,
    client,
    listening,
    new_server,
    receive,
    run,
)
from tests.upgrade_request import UPGRADE

CLOSE = b"\x88\x02\x03\xe8"
PONGS = (b"\x8a\xfd\0\0\0\0" + b"x" * 125) * 300


def closing_server(size: int, waits: bool) -> WebSocketServer:
    """Sends `size` bytes and closes, at the client's first message."""
    server = new_server()
    server.wait_for_close_response = waits

    def on_data_in(e: object) -> None:
        (connection_id,) = list(server.connections)
        server.send(connection_id, bytes(size))
        server.disconnect(connection_id)

    server.on_data_in = on_data_in
    return server


async def opened(server: WebSocketServer) -> socket.socket:
    """Return a client that can hold little of what it is sent."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", server.local_port))
    await loop.sock_sendall(sock, UPGRADE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await asyncio.wait_for(loop.sock_recv(sock, 1), DEADLINE_S)
    return sock


async def stream(sock: socket.socket) -> None:
    """Go on sending until the server has had enough."""
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.get_running_loop().sock_sendall(sock, PONGS)


async def drain(sock: socket.socket) -> bytes:
    """Read slowly to the end."""
    got = bytearray()
    while True:
        piece = await asyncio.wait_for(
            asyncio.get_running_loop().sock_recv(sock, 16384), DEADLINE_S
        )
        if not piece:
            return bytes(got)
        got += piece


async def read(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes, fewer at the end."""
    got = bytearray()
    while len(got) < size:
        piece = await asyncio.wait_for(
            asyncio.get_running_loop().sock_recv(sock, size - len(got)), DEADLINE_S
        )
        if not piece:
            break
        got += piece
    return bytes(got)


@pytest.mark.parametrize("size", [100_000, 900_000])
def test_a_client_that_goes_on_sending_gets_all_that_was_sent_before_the_close(size: int) -> None:
    """TCP was closed with its bytes unread, which resets the connection and what is in it."""

    async def main() -> None:
        server = closing_server(size, waits=False)
        async with listening(server):
            with await opened(server) as sock:
                await asyncio.get_running_loop().sock_sendall(sock, b"\x82\x81\0\0\0\0x")
                sending = asyncio.create_task(stream(sock))
                got = await drain(sock)
                assert got.endswith(CLOSE)
                assert len(got) == 10 + size + len(CLOSE)
                sending.cancel()

    run(main())


@pytest.mark.parametrize("waits", [True, False])
def test_a_stall_of_the_server_is_not_the_clients_fault(waits: bool) -> None:
    """Its pace was judged by time in which nothing could be written: it was cut."""

    async def main() -> None:
        recorder = EventRecorder()
        server = closing_server(900_000, waits=waits)
        server.close_timeout = 1
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server):
            with await opened(server) as sock:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, b"\x82\x81\0\0\0\0x")
                got = await asyncio.wait_for(loop.sock_recv(sock, 1000), DEADLINE_S)
                time.sleep(2.6)  # noqa: ASYNC251  longer than any deadline of the close
                if not waits:  # what is unread when TCP is closed resets it
                    await loop.sock_sendall(sock, PONGS[:10_000])
                got += await read(sock, 10 + 900_000 + len(CLOSE) - len(got))
                assert got.endswith(CLOSE)
                await loop.sock_sendall(sock, b"\x88\x82\0\0\0\0\x03\xe8")
                assert await recorder.wait_for("disconnected") == [("disconnected", 1000)]

    run(main())


def test_a_client_that_never_reads_is_not_waited_for() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = closing_server(900_000, waits=False)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server):
            with await opened(server) as sock:
                await asyncio.get_running_loop().sock_sendall(sock, b"\x82\x81\0\0\0\0x")
                assert await recorder.wait_for("disconnected") == [("disconnected", 1000)]

    run(main())


@pytest.mark.parametrize("waits", [True, False])
def test_what_is_sent_after_a_disconnect_is_dropped_in_a_handler_too(waits: bool) -> None:
    """Inside a handler it was queued, and overtook the close frame."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.wait_for_close_response = waits

        def on_data_in(e: object) -> None:
            (connection_id,) = list(server.connections)
            early = server.send_text(connection_id, "early")
            server.disconnect(connection_id)
            late = server.send_text(connection_id, "late")
            recorder.note("outcomes", early.outcome, late.outcome)

        server.on_data_in = on_data_in
        async with listening(server) as url:
            connection = await client(url)
            await connection.send("go")
            assert await receive(connection) == "early"
            await asyncio.wait_for(connection.wait_closed(), DEADLINE_S)
            assert connection.close_code == 1000
            outcomes = await recorder.wait_for("outcomes")
            assert outcomes == [("outcomes", Outcome.QUEUED, Outcome.DROPPED)]

    run(main())
