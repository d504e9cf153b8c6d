"""An RSGI application (granian): echo; text that begins with * is sent to all."""

from typing import Any

CLOSE, BYTES, TEXT = 0, 1, 2

CONNECTIONS: set[Any] = set()


async def echo(ws: Any) -> None:
    while (message := await ws.receive()).kind != CLOSE:
        if message.kind == BYTES:
            await ws.send_bytes(message.data)
        elif message.data[:1] == "*":
            for one in CONNECTIONS:
                await one.send_str(message.data)
        else:
            await ws.send_str(message.data)


class Application:
    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        ws = await protocol.accept()
        CONNECTIONS.add(ws)
        try:
            await echo(ws)
        finally:
            CONNECTIONS.discard(ws)


app = Application()
