"""An echo server written for IPWorks WebSockets 2020, with only its import line changed.

    python examples/do_events_echo.py [PORT [CERTIFICATE.pem]]

No supervisor and no coroutines: events are handled in `do_events`, and Ctrl-C ends the program.
With a certificate (and its private key in the same file) it serves wss.
"""

import sys

from shardws import (
    Connected,
    DataIn,
    Disconnected,
    Error,
    ShardwsError,
    WebSocketOpenRequest,
    WebSocketServer,
)

server = WebSocketServer()


def on_web_socket_open_request(e: WebSocketOpenRequest) -> None:
    print(f"{e.connection_id} asks for {e.request_uri}", flush=True)


def on_connected(e: Connected) -> None:
    host = server.get_web_socket_connection_remote_host(e.connection_id)
    print(f"{e.connection_id} connected from {host}", flush=True)


def on_data_in(e: DataIn) -> None:
    server.set_web_socket_connection_data_to_send(e.connection_id, e.text)


def on_disconnected(e: Disconnected) -> None:
    print(f"{e.connection_id} disconnected: {e.status_code} {e.description}", flush=True)


def on_error(e: Error) -> None:
    print(f"{e.connection_id} error {e.error_code}: {e.description}", flush=True)


server.on_web_socket_open_request = on_web_socket_open_request
server.on_connected = on_connected
server.on_data_in = on_data_in
server.on_disconnected = on_disconnected
server.on_error = on_error

try:
    server.local_port = int(sys.argv[1]) if len(sys.argv) > 1 else 9001
    if len(sys.argv) > 2:
        server.ssl_cert_store_type = 6  # a PEM file
        server.ssl_cert_store = sys.argv[2]
        server.ssl_cert_subject = "*"
        server.use_ssl = True
    server.config("BufferMessage=True")
    server.default_timeout = 60
    server.listening = True
    print(f"listening on port {server.local_port}", flush=True)
    while True:
        server.do_events()
except ShardwsError as e:
    print(f"error {e.code}: {e.description}", flush=True)
except KeyboardInterrupt:
    server.shutdown()
