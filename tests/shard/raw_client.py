"""A client that shows frames as they come, and the status line of an opening by hand."""

import asyncio
import struct

from shardws import WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder
from tests.upgrade_request import UPGRADE, upgrade_request

Frame = tuple[int, bytes]


class RawClient:
    """A client that shows frames as they come, and reads only when it is told to."""

    def __init__(self, server: WebSocketServer, recorder: EventRecorder) -> None:
        self._server = server
        self._recorder = recorder
        self.id = 0

    async def __aenter__(self) -> "RawClient":
        before = self._recorder.count("connected")
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._server.local_port, limit=1 << 20
        )
        self.writer.write(UPGRADE)
        await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        self.id = (await self._recorder.wait_for("connected", before + 1))[-1][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.writer.close()

    async def frame(self) -> Frame:
        """Return the next frame: first byte and payload."""
        first, size = await asyncio.wait_for(self.reader.readexactly(2), DEADLINE_S)
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first, await asyncio.wait_for(self.reader.readexactly(size), DEADLINE_S)

    async def message(self) -> tuple[int, list[bytes], list[Frame]]:
        """Return the opcode and fragments of the next message, and control frames in it."""
        first, payload = await self.frame()
        opcode, fragments, controls = first & 0x0F, [payload], []
        while not first & 0x80:
            first, payload = await self.frame()
            if first & 0x08:
                controls.append((first, payload))
                first = 0
                continue
            assert not first & 0x0F, "a message within a message"
            fragments.append(payload)
        return opcode, fragments, controls


async def response_status(
    server: WebSocketServer, *fields: bytes, host: str = "127.0.0.1"
) -> bytes:
    """Return the first line of the response to an opening request with these header lines."""
    reader, writer = await asyncio.open_connection(host, server.local_port)
    try:
        writer.write(upgrade_request(*fields))
        return await asyncio.wait_for(reader.readline(), DEADLINE_S)
    finally:
        writer.close()
