"""Settings that change while listening: at once for some, for later connections for others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import WebSocketServer
from tests.shard.recording_server import recording_server
from tests.shard.server_fixture import EventRecorder, client, listening, receive, run
from tests.upgrade_request import UPGRADE


def fragment_recording_server(recorder: EventRecorder) -> WebSocketServer:
    server = recording_server(recorder)
    server.on_data_in = lambda e: recorder.note("data", len(e.text), e.eom)
    return server


Raw = tuple[asyncio.StreamReader, asyncio.StreamWriter, int]


@contextlib.asynccontextmanager
async def raw(server: WebSocketServer, recorder: EventRecorder) -> AsyncIterator[Raw]:
    """A client that does nothing by itself, and its id."""
    before = recorder.count("connected")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
    writer.write(UPGRADE)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    try:
        yield reader, writer, (await recorder.wait_for("connected", before + 1))[-1][1]
    finally:
        writer.close()


@pytest.mark.surface("BufferMessage")
def test_buffer_message_holds_for_open_connections_at_once() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = fragment_recording_server(recorder)
        fragments = b"\x02\x82\x00\x00\x00\x00ab", b"\x80\x82\x00\x00\x00\x00cd"
        async with listening(server), raw(server, recorder) as (_, writer, _):
            writer.write(b"".join(fragments))
            assert await recorder.wait_for("data", 2) == [("data", 2, False), ("data", 2, True)]
            server.buffer_message = True
            writer.write(b"".join(fragments))
            assert (await recorder.wait_for("data", 3))[2:] == [("data", 4, True)]
            server.config("BufferMessage=False")
            writer.write(b"".join(fragments))
            assert len(await recorder.wait_for("data", 5)) == 5

    run(main())


@pytest.mark.surface("WaitForCloseResponse")
def test_wait_for_close_response_holds_for_open_connections_at_once() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = fragment_recording_server(recorder)
        async with listening(server), raw(server, recorder) as (reader, _, identity):
            server.wait_for_close_response = False
            server.disconnect(identity)
            assert await asyncio.wait_for(reader.read(), 5) == b"\x88\x02\x03\xe8"  # and the end
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000)]

    run(main())


def test_close_timeout_holds_for_open_connections_at_once() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = fragment_recording_server(recorder)
        server.close_timeout = 600.0
        async with listening(server), raw(server, recorder) as (reader, _, identity):
            server.close_timeout = 0.5
            server.disconnect(identity)
            assert await asyncio.wait_for(reader.read(4), 5) == b"\x88\x02\x03\xe8"
            assert await recorder.wait_for("disconnected") == [("disconnected", 1006)]

    run(main())


@pytest.mark.surface("MaxFrameSize")
def test_what_belongs_to_new_connections_leaves_the_old_ones_alone() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = fragment_recording_server(recorder)
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(listening(server))
            old, _, old_id = await stack.enter_async_context(raw(server, recorder))
            old_ws = await client(url)
            server.max_frame_size = 2
            server.max_message_size = 125
            new, _, new_id = await stack.enter_async_context(raw(server, recorder))
            new_ws = await client(url)
            for reader, identity, expected in (
                (old, old_id, b"\x82\x04abcd"),
                (new, new_id, b"\x02\x02ab\x80\x02cd"),
            ):
                server.send(identity, b"abcd")
                assert await asyncio.wait_for(reader.readexactly(len(expected)), 5) == expected
            await old_ws.send(bytes(1000))
            assert await recorder.wait_for("data") == [("data", 1000, True)]
            await new_ws.send(bytes(1000))
            with pytest.raises(ConnectionClosed, match="1009"):
                await receive(new_ws)
            await old_ws.close()

    run(main())


def test_a_change_of_something_live_keeps_what_an_old_connection_was_accepted_with() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = fragment_recording_server(recorder)
        async with listening(server), raw(server, recorder) as (old, _, old_id):
            server.max_frame_size = 2
            server.buffer_message = True
            server.send(old_id, b"abcd")
            assert await asyncio.wait_for(old.readexactly(6), 5) == b"\x82\x04abcd"

    run(main())
