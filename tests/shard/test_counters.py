"""The counters say what went over the wire, whatever its shape."""

import asyncio
import struct

from shardws import DataIn
from shardws.events import FORMAT_BINARY
from shardws.stats import BYTES_IN, BYTES_OUT, MESSAGES_IN, MESSAGES_OUT, PROTOCOL_ERRORS
from tests.shard.server_fixture import DEADLINE_S, listening, new_server, run
from tests.upgrade_request import UPGRADE


def frame(first: int, payload: bytes) -> bytes:
    """A masked frame, by a key of zeros."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + struct.pack(">H", size)
    else:
        head = bytes((first, 0xFF)) + struct.pack(">Q", size)
    return head + bytes(4) + payload


SMALL = frame(0x82, bytes(100))
LARGE = frame(0x82, bytes(300_000))
PARTS = frame(0x02, b"one") + frame(0x89, b"ping") + frame(0x00, b"two") + frame(0x80, b"three")
OPENING = frame(0x89, b"") + frame(0x8A, b"unasked") + frame(0x88, b"\x03\xe8")


def echoed(sent: list[bytes], max_frame_size: int) -> tuple[int, list[int]]:
    """Return the bytes a client gets for these, and the four counters then."""
    found: tuple[int, list[int]] = (0, [])

    async def main() -> None:
        nonlocal found
        server = new_server()
        server.buffer_message = True
        server.max_frame_size = max_frame_size

        def on_data_in(e: DataIn) -> None:
            if e.data_format == FORMAT_BINARY:
                server.send(e.connection_id, e.text)

        server.on_data_in = on_data_in
        async with listening(server):
            shard = server._shard
            assert shard is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            got = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            for data in sent:
                writer.write(data)
            got += await asyncio.wait_for(reader.read(), DEADLINE_S)
            writer.close()
            row = shard.row
            assert row[PROTOCOL_ERRORS] == 0
            words = (MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT)
            found = len(got), [row[word] for word in words]

    run(main())
    return found


def test_whole_messages_parts_and_control_frames() -> None:
    """A message is one, in however many frames and reads; a ping is none."""
    sent = [SMALL, LARGE, PARTS, OPENING]
    got, counted = echoed(sent, max_frame_size=0)
    assert counted == [3, sum(map(len, sent)), 3, got]


def test_messages_that_leave_in_several_frames() -> None:
    sent = [SMALL, LARGE, OPENING]
    got, counted = echoed(sent, max_frame_size=1000)
    assert counted == [2, sum(map(len, sent)), 2, got]
    assert got > 300_000 + 300 * 4
