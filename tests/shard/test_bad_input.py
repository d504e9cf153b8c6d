"""Clients that misbehave get a clear answer or a clean close, and nobody else notices."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from shardws import DataIn, WebSocketServer
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run
from tests.upgrade_request import UPGRADE

READ_S = 5.0


@contextlib.asynccontextmanager
async def bystander(server: WebSocketServer) -> AsyncIterator[None]:
    """Another connection that echoes before, and goes on doing so afterwards."""

    def on_data_in(e: DataIn) -> None:
        server.send(e.connection_id, e.text)

    server.on_data_in = on_data_in
    server.buffer_message = True
    async with listening(server) as url:
        ws = await client(url)
        await ws.send(b"before")
        assert await receive(ws) == b"before"
        yield
        await ws.send(b"after")
        assert await receive(ws) == b"after"
        await ws.close()


async def speak(server: WebSocketServer, *pieces: bytes, ends: bool = False) -> bytes:
    """Send the pieces; return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
    try:
        for piece in pieces:
            writer.write(piece)
        if ends:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), READ_S)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",), b"426"),
        ((b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",), b"405"),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),), b"400"),
        ((bytes(range(256)) * 8,), b"400"),
        ((b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 1_000_000,), b"431"),
        ((b"GET /" + b"a" * 1_000_000,), b"414"),
        ((UPGRADE.replace(b"13", b"8"),), b"426"),
    ],
    ids=["plain GET", "POST", "TLS ClientHello", "garbage", "1 MB of header", "1 MB target", "v8"],
)
def test_a_bad_opening_gets_its_status_and_the_connection_ends(
    pieces: tuple[bytes, ...], status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        server = new_server()
        async with bystander(server):
            answer = await speak(server, *pieces)
            assert answer.startswith(b"HTTP/1.1 " + status), answer[:100]

    run(main())
    lines = [record for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 1
    assert not any(record.exc_info for record in caplog.records)


def test_a_client_that_says_nothing_is_ended_at_the_deadline() -> None:
    async def main() -> None:
        server = new_server()
        server.default_connection_timeout = 1
        async with bystander(server):
            assert (await speak(server)).startswith(b"HTTP/1.1 408")

    run(main())


def test_a_client_that_drips_its_request_is_ended_by_the_same_deadline() -> None:
    async def main() -> None:
        server = new_server()
        server.default_connection_timeout = 1
        async with bystander(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            answer = asyncio.ensure_future(reader.read())
            for at in range(len(UPGRADE)):
                if answer.done():
                    break
                writer.write(UPGRADE[at : at + 1])
                await asyncio.wait([answer], timeout=0.05)
            assert (await asyncio.wait_for(answer, READ_S)).startswith(b"HTTP/1.1 408")
            writer.close()

    run(main())


def test_a_client_that_vanishes_in_the_middle_of_a_frame_is_disconnected_with_1006() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with bystander(server):
            answer = await speak(
                server, UPGRADE + b"\x82\xfe\x10\x00\x00\x00\x00\x00abc", ends=True
            )
            assert answer.startswith(b"HTTP/1.1 101")
            assert await recorder.wait_for("disconnected") == [("disconnected", 1006)]

    run(main())


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\x03abc", 1002),
        (b"\xc2\x80\x00\x00\x00\x00", 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),
        (b"\x82\xff\x00\x00\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00", 1009),
    ],
    ids=["not masked", "RSV1 without deflate", "opcode 3", "bad UTF-8", "2 MiB announced"],
)
def test_a_violation_closes_that_connection_with_its_code_and_tcp_ends(
    frame: bytes, code: int
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_error = lambda e: recorder.note("error", e.error_code)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with bystander(server):
            answer = await speak(server, UPGRADE + frame + b"\x82\x80\x00\x00\x00\x00" * 1000)
            head, _, frames = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101")
            assert frames[0] == 0x88
            assert int.from_bytes(frames[2:4]) == code
            assert await recorder.wait_for("disconnected") == [("disconnected", code)]
            assert await recorder.wait_for("error") == [("error", 434)]

    run(main())


def test_a_client_that_never_reads_meets_the_bound_and_fires_ready_to_send_after() -> None:
    """The outgoing queue is bounded: FULL, then ReadyToSend when the client reads again."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.out_high_mark = 64 * 1024
        server.out_low_mark = 16 * 1024
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_ready_to_send = lambda e: recorder.note("ready", e.connection_id)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            identity = (await recorder.wait_for("connected"))[0][1]
            piece, taken = bytes(32 * 1024), 0
            while server.send(identity, piece).outcome.name == "QUEUED":  # type: ignore[union-attr]
                taken += 1
                assert taken < 10_000, "the queue has no bound"
                await asyncio.sleep(0)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_S)
            for _ in range(taken):
                head = await asyncio.wait_for(reader.readexactly(4), READ_S)
                assert head == b"\x82\x7e\x80\x00"
                await asyncio.wait_for(reader.readexactly(len(piece)), READ_S)
            assert len(await recorder.wait_for("ready", 2)) == 2
            assert await server.send(identity, b"again") == 0
            assert await asyncio.wait_for(reader.readexactly(7), READ_S) == b"\x82\x05again"
            writer.close()

    run(main())
