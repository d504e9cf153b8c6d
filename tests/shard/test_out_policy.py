"""What a send to a full connection does: wait, drop the oldest, or close (OutPolicy)."""

import asyncio
import struct

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

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
from tests.upgrade_request import UPGRADE

SIZE = 10_000
HEADER = 4


def policy_server(recorder: EventRecorder, policy: str) -> WebSocketServer:
    server = recording_server(recorder, out_high_mark=64 * 1024)
    server.out_policy = policy
    return server


def message(number: int) -> bytes:
    return struct.pack(">I", number) + bytes(SIZE - 4)


async def drained(ws: ClientConnection) -> None:
    """Read to the end, which raises."""
    while True:
        await receive(ws)


async def fill(server: WebSocketServer, identity: int) -> int:
    """Send numbered messages until the connection is full; return how many were taken."""
    taken = 0
    while server.connections[identity].ready_to_send:
        assert server.send(identity, message(taken)).outcome is Outcome.QUEUED
        taken += 1
        assert taken < 10_000
        await asyncio.sleep(0)
    return taken


def test_drop_keeps_the_newest_and_says_ready_when_it_has_drained() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = policy_server(recorder, "drop")
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            identity = (await recorder.wait_for("connected"))[0][1]
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            taken = await fill(server, identity)
            for number in range(taken, taken + 100):
                assert server.send(identity, message(number)).outcome is Outcome.QUEUED
            numbers: list[int] = []
            while not numbers or numbers[-1] != taken + 99:
                frame = await asyncio.wait_for(reader.readexactly(HEADER + SIZE), DEADLINE_S)
                numbers.append(int.from_bytes(frame[HEADER : HEADER + 4]))
            kept = 64 * 1024 // SIZE
            assert numbers == [*range(taken), *range(taken + 100 - kept, taken + 100)]
            await recorder.wait_for("ready", 2)
            server.send(identity, b"goes on")
            assert await asyncio.wait_for(reader.readexactly(9), DEADLINE_S) == b"\x82\x07goes on"
            assert not [event for event in recorder.events if event[0] == "error"]
            writer.close()

    run(main())


def test_wait_refuses_with_full() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = policy_server(recorder, "wait")
        async with listening(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            identity = (await recorder.wait_for("connected"))[0][1]
            await fill(server, identity)
            assert server.send(identity, b"x").outcome is Outcome.FULL
            writer.close()

    run(main())


def test_close_ends_the_connection_with_1013() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = policy_server(recorder, "close")
        async with listening(server) as url:
            ws = await client(url, max_queue=1)
            identity = (await recorder.wait_for("connected"))[0][1]
            await fill(server, identity)
            assert server.send(identity, b"x").outcome is Outcome.DROPPED
            with pytest.raises(ConnectionClosed, match="1013"):
                await drained(ws)
            assert await recorder.wait_for("disconnected") == [("disconnected", 1013)]

    run(main())
