"""aiohttp on uvloop: echo; a text message that begins with * is sent to all.

python aiohttp_echo.py PORT [CERTIFICATE KEY]
"""

import asyncio
import ssl
import sys

import uvloop
from aiohttp import WSMsgType, web

CONNECTIONS: set[web.WebSocketResponse] = set()


async def handle(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    CONNECTIONS.add(ws)
    try:
        async for message in ws:
            if message.type == WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            elif message.type == WSMsgType.TEXT and message.data[:1] == "*":
                for one in CONNECTIONS:
                    await one.send_str(message.data)
            elif message.type == WSMsgType.TEXT:
                await ws.send_str(message.data)
    finally:
        CONNECTIONS.discard(ws)
    return ws


async def main(port: int, *files: str) -> None:
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, backlog=4096).start()
    await asyncio.Event().wait()


uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
