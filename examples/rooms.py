"""Rooms: a chat of as many rooms as people ask for, on all cores.

    shardws run examples.rooms:app

Clients connect to ws://127.0.0.1:9001/chat/ROOM?name=NAME; each has one coroutine.
"""

from shardws import App, Refuse, WebSocket

app = App()


@app.route("/chat/{room}")
async def chat(ws: WebSocket, room: str) -> None:
    name = ws.query.get("name", "").strip()
    if not name or len(name) > 30:
        raise Refuse(400, "say who you are: ?name=...\n")
    await ws.accept()
    ws.join(f"room:{room}")
    app.publish(f"room:{room}", f"* {name} came")
    try:
        async for message in ws:
            if isinstance(message, str):
                app.publish(f"room:{room}", f"{name}: {message}")
    finally:
        app.publish(f"room:{room}", f"* {name} left")


@app.every(60, on="one")
async def tell_the_count() -> None:
    app.broadcast(f"* {app.server.web_socket_connection_count} people are here")
