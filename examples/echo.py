"""Echo: every message is sent back unchanged.

shardws run examples.echo:server --local-port 9001
"""

from shardws import DataIn, WebSocketServer

server = WebSocketServer()


def on_data_in(e: DataIn) -> None:
    if e.data_format == 1:
        server.send_text(e.connection_id, e.text)
    elif e.data_format == 2:
        server.send(e.connection_id, e.text)


server.config("BufferMessage=True")
server.on_data_in = on_data_in
