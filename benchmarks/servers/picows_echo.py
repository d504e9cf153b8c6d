"""picows on uvloop: echo; a text message that begins with * is sent to all.

python picows_echo.py PORT [CERTIFICATE KEY]
"""

import ssl
import sys

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

CONNECTIONS: set[WSTransport] = set()


class Echo(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        CONNECTIONS.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        CONNECTIONS.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.TEXT and frame.get_payload_as_memoryview()[:1] == b"*":
            payload = frame.get_payload_as_bytes()
            for one in CONNECTIONS:
                one.send(kind, payload)
        else:
            transport.send(kind, frame.get_payload_as_memoryview())


def listener_for(_: WSUpgradeRequest) -> WSListener:
    return Echo()


async def main(port: int, *files: str) -> None:
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    server = await ws_create_server(listener_for, "127.0.0.1", port, ssl=context, backlog=4096)
    await server.serve_forever()


uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
