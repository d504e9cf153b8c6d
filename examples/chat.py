"""A chat for all cores: one lobby, names, and private messages to anyone on any shard.

shardws run examples.chat:server
"""

from shardws import Connected, DataIn, Disconnected, Outcome, WebSocketServer

server = WebSocketServer()
server.local_host = "127.0.0.1"
server.local_port = 9001
server.buffer_message = True  # one event per message, not per fragment

names: dict[int, str] = {}  # of the connections of this shard: each shard has its own dictionary


def on_connected(e: Connected) -> None:
    names[e.connection_id] = f"guest {e.connection_id}"
    server.join(e.connection_id, "lobby")
    server.publish("lobby", f"* {names[e.connection_id]} came, on shard {server.shard}")


async def on_data_in(e: DataIn) -> None:
    if e.data_format != 1:  # text
        return
    me = e.connection_id
    command, _, rest = e.text.decode().partition(" ")
    if command == "/name":
        server.publish("lobby", f"* {names[me]} is now {rest}")
        names[me] = rest
    elif command == "/tell":
        to, _, words = rest.partition(" ")
        outcome = Outcome.GONE
        if to.isdecimal():
            outcome = await server.send_text(int(to), f"{names[me]} tells you: {words}")
        server.send_text(me, f"* {outcome.name}")
    else:
        server.publish("lobby", f"{names[me]}: {e.text.decode()}")


def on_disconnected(e: Disconnected) -> None:
    # The names of a killed shard are lost; its successor reports who was connected.
    name = names.pop(e.connection_id, f"somebody ({e.connection_id})")
    server.publish("lobby", f"* {name} left: {e.status_code} {e.description}")


server.on_connected = on_connected
server.on_data_in = on_data_in
server.on_disconnected = on_disconnected
