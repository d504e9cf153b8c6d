"""A server whose events a recorder keeps, and clients of it whose id is known."""

from websockets.asyncio.client import ClientConnection

from shardws import WebSocketServer
from tests.shard.server_fixture import EventRecorder, client, new_server

UPGRADE = (
    b"GET /a?b=1 HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nOrigin: http://localhost:8080\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: one, two\r\n\r\n"
)


def recording_server(
    recorder: EventRecorder, *, out_high_mark: int = 0, is_buffering: bool = False
) -> WebSocketServer:
    """Return a server that notes (connected, ID), (ready), (disconnected, CODE), (error, CODE).

    With a high mark in bytes it is small enough to fill; the low mark is a quarter of it.
    """
    server = new_server()
    server.buffer_message = is_buffering
    server.on_connected = lambda e: recorder.note("connected", e.connection_id)
    server.on_ready_to_send = lambda e: recorder.note("ready")
    server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
    server.on_error = lambda e: recorder.note("error", e.error_code)
    if out_high_mark:
        server.out_high_mark = out_high_mark
        server.out_low_mark = out_high_mark // 4
    return server


def message_recording_server(recorder: EventRecorder) -> WebSocketServer:
    """Return a server that also notes (data, FORMAT, PAYLOAD) of each whole message."""
    server = recording_server(recorder, is_buffering=True)
    server.on_data_in = lambda e: recorder.note("data", e.data_format, e.text)
    return server


async def connect_with_id(
    server: WebSocketServer, recorder: EventRecorder
) -> tuple[ClientConnection, int]:
    """Return a client and its id."""
    before = recorder.count("connected")
    ws = await client(f"ws://127.0.0.1:{server.local_port}/")
    return ws, (await recorder.wait_for("connected", before + 1))[-1][1]
