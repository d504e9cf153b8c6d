"""Servers that record, and clients of them whose id is known."""

from websockets.asyncio.client import ClientConnection

from shardws import (
    WebSocketServer,
)
from tests.shard.server_fixture import EventRecorder, client, new_server

UPGRADE = (
    b"GET /a?b=1 HTTP/1.1\r\nHost: example.test:8080\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nOrigin: http://example.test:8080\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: one, two\r\n\r\n"
)


def recording_server(recorder: EventRecorder) -> WebSocketServer:
    server = new_server()
    server.buffer_message = True
    server.on_connected = lambda e: recorder.note("connected", e.connection_id)
    server.on_data_in = lambda e: recorder.note("data", e.data_format, e.text)
    server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
    server.on_error = lambda e: recorder.note("error", e.error_code)
    return server


async def connect_with_id(
    server: WebSocketServer, recorder: EventRecorder
) -> tuple[ClientConnection, int]:
    """Return a client and its id."""
    before = len([event for event in recorder.events if event[0] == "connected"])
    ws = await client(f"ws://127.0.0.1:{server.local_port}/")
    return ws, (await recorder.wait_for("connected", before + 1))[-1][1]
