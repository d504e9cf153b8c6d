"""The echo server the Autobahn|Testsuite speaks with: messages of 16 MiB, no pings of its own."""

from shardws import WebSocketServer
from shardws.events import DataIn

server = WebSocketServer()
server.buffer_message = True
server.max_message_size = 16 * 1024 * 1024
server.out_high_mark = 64 * 1024 * 1024
server.ping_interval = 0
server.allowed_origins = "*"


def on_data_in(e: DataIn) -> None:
    if e.data_format == 1:
        server.send_text(e.connection_id, e.text)
    elif e.data_format == 2:
        server.send(e.connection_id, e.text)


server.on_data_in = on_data_in
