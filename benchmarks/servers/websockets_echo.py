"""websockets on uvloop: echo; a text message that begins with * is sent to all.

python websockets_echo.py PORT [CERTIFICATE KEY]
"""

import asyncio
import ssl
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

CONNECTIONS: set[ServerConnection] = set()


async def handle(ws: ServerConnection) -> None:
    CONNECTIONS.add(ws)
    try:
        async for message in ws:
            if isinstance(message, str) and message[:1] == "*":
                broadcast(CONNECTIONS, message)
            else:
                await ws.send(message)
    finally:
        CONNECTIONS.discard(ws)


async def main(port: int, *files: str) -> None:
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    async with serve(handle, "127.0.0.1", port, ssl=context, backlog=4096):
        await asyncio.Event().wait()


uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
