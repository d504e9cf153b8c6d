"""An ASGI application (uvicorn, granian): echo; text that begins with * is sent to all."""

from collections.abc import Awaitable, Callable
from typing import Any

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

CONNECTIONS: set[Send] = set()


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def echo(receive: Receive, send: Send) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        if (data := event.get("bytes")) is not None:
            await send({"type": "websocket.send", "bytes": data})
        elif event["text"][:1] == "*":
            for one in CONNECTIONS:
                await one({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "text": event["text"]})


async def app(scope: Event, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        CONNECTIONS.add(send)
        try:
            await echo(receive, send)
        finally:
            CONNECTIONS.discard(send)
