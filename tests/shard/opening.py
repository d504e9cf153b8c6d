"""An opening request by hand, and the status of its answer."""

import asyncio

from shardws import WebSocketServer
from tests.shard.server_fixture import DEADLINE_S

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)


async def status(server: WebSocketServer, headers: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """Return the first line of the answer to an opening request."""
    reader, writer = await asyncio.open_connection(host, server.local_port)
    try:
        writer.write(UPGRADE % headers)
        return await asyncio.wait_for(reader.readline(), DEADLINE_S)
    finally:
        writer.close()
