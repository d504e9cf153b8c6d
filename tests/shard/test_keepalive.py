"""Pings, pongs and idle time on a real connection."""

import asyncio

import pytest

from shardws import Outcome, WebSocketServer
from tests.shard.recording_server import recording_server
from tests.shard.server_fixture import (
    DEADLINE_S,
    EventRecorder,
    client,
    listening,
    receive,
    run,
)
from tests.upgrade_request import upgrade_request

DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


def keepalive_server(recorder: EventRecorder) -> WebSocketServer:
    server = recording_server(recorder, out_high_mark=64 * 1024)
    server.on_disconnected = lambda e: recorder.note("disconnected", *e[1:])
    return server


async def raw(
    server: WebSocketServer, recorder: EventRecorder, *fields: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
    """Return a client that does nothing by itself, and its id."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
    writer.write(upgrade_request(*fields))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    return reader, writer, (await recorder.wait_for("connected"))[0][1]


def test_a_client_that_does_not_answer_a_ping_is_lost() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = keepalive_server(recorder)
        server.ping_interval = server.ping_timeout = 0.3
        async with listening(server):
            reader, writer, _ = await raw(server, recorder)
            ping = await asyncio.wait_for(reader.readexactly(10), DEADLINE_S)
            assert ping[:2] == b"\x89\x08"
            ended = await recorder.wait_for("disconnected")
            assert ended == [("disconnected", 1006, "no answer to a ping")]
            writer.close()

    run(main())


def test_the_round_trip_of_a_ping_is_known() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = keepalive_server(recorder)
        server.ping_interval = 0.3
        async with listening(server):
            reader, writer, identity = await raw(server, recorder)
            view = server.connections[identity]
            assert view.round_trip == 0
            ping = await asyncio.wait_for(reader.readexactly(10), DEADLINE_S)
            await asyncio.sleep(0.01)  # uvloop's clock has milliseconds
            writer.write(b"\x8a\x88\x00\x00\x00\x00" + ping[2:] + b"\x89\x81\x00\x00\x00\x00x")
            assert await asyncio.wait_for(reader.readexactly(3), DEADLINE_S) == b"\x8a\x01x"
            assert 0 < view.round_trip < DEADLINE_S
            assert (await server.connection(identity)).round_trip == view.round_trip
            writer.close()

    run(main())


def test_of_many_pings_to_a_full_connection_the_last_one_is_answered() -> None:
    """RFC 6455 5.5.3; a peer that pings and does not read must not fill our memory with pongs."""

    async def main() -> None:
        recorder = EventRecorder()
        server = keepalive_server(recorder)
        async with listening(server):
            reader, writer, identity = await raw(server, recorder)
            piece, taken = bytes(30_000), 0
            while server.connections[identity].ready_to_send:
                server.send(identity, piece)
                taken += 1
                await asyncio.sleep(0)
            for number in range(9):
                writer.write(b"\x89\x81\x00\x00\x00\x00%d" % number)
            await asyncio.wait_for(writer.drain(), DEADLINE_S)
            got = await asyncio.wait_for(reader.readexactly(taken * 30_004), DEADLINE_S)
            assert got == (b"\x82\x7e\x75\x30" + piece) * taken
            assert await asyncio.wait_for(reader.readexactly(3), DEADLINE_S) == b"\x8a\x018"
            await recorder.wait_for("ready", 2)
            server.send(identity, b"next")
            assert await asyncio.wait_for(reader.readexactly(6), DEADLINE_S) == b"\x82\x04next"
            writer.close()

    run(main())


@pytest.mark.surface("WebSocketConnectionTimeout")
def test_a_slow_reader_is_not_idle_while_bytes_move() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = keepalive_server(recorder)
        server.out_buffer_size = 8192
        server.default_timeout = 1
        async with listening(server):
            reader, writer, identity = await raw(server, recorder)
            while server.connections[identity].ready_to_send:
                server.send(identity, bytes(30_000))
                await asyncio.sleep(0)
            loop = asyncio.get_running_loop()
            end = loop.time() + 2.5
            while loop.time() < end:  # reads for 2.5 s without a word of either side
                await asyncio.wait_for(reader.read(20_000), DEADLINE_S)
                await asyncio.sleep(0.1)
                if server.connections[identity].ready_to_send:
                    server.send(identity, bytes(60_000))
            assert server.connections[identity].connected
            await recorder.wait_for("error")
            assert [event[0] for event in recorder.events if event[0] == "error"] == ["error"]
            writer.close()

    run(main())


def test_one_handler_that_sends_much_is_written_in_between() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = keepalive_server(recorder)
        server.out_high_mark = 4 << 20
        async with listening(server) as url:
            ws = await client(url, max_size=None)
            identity = (await recorder.wait_for("connected"))[0][1]
            for number in range(100):
                sent = server.send(identity, bytes([number]) * 10_000)
                assert sent.outcome is Outcome.QUEUED
            server.broadcast(b"large" * 100_000)
            server.broadcast(b"small")
            for number in range(100):
                assert await receive(ws) == bytes([number]) * 10_000
            assert await receive(ws) == b"large" * 100_000
            assert await receive(ws) == b"small"
            await ws.close()

    run(main())


def test_a_compressing_connection_gets_a_broadcast_too() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = keepalive_server(recorder)
        async with listening(server):
            reader, writer, _ = await raw(server, recorder, DEFLATE)
            server.broadcast("x" * 1000)
            first, size = await asyncio.wait_for(reader.readexactly(2), DEADLINE_S)
            assert first == 0xC1  # RSV1: compressed
            assert size < 126
            writer.close()

    run(main())
