"""shardws: echo; a text message that begins with * is sent to all.

shardws run benchmarks.application:server --local-port N --shards 1
"""

from shardws import DataIn, WebSocketServer

TEXT = 1

server = WebSocketServer()
server.config("BufferMessage=True")


def on_data_in(e: DataIn) -> None:
    if e.data_format != TEXT:
        server.send(e.connection_id, e.text)
    elif e.text[:1] == b"*":
        server.broadcast(e.text.decode())
    else:
        server.send_text(e.connection_id, e.text)


server.on_data_in = on_data_in
