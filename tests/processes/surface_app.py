"""An application that does what its clients tell it, and a program that serves it by do_events.

`shardws run tests.processes.surface_app:server` serves it from shards; as a program, with the
settings as JSON in its first argument, it serves from its own process and prints its port.

A client says {"do": NAME, "to": ID, "with": VALUE} and gets {"result": ...} or {"error": CODE}.
"""

import dataclasses
import json
import os
import socket
import sys
from collections import defaultdict
from typing import Any

from shardws import ShardwsError, WebSocketServer

READ = (
    "accept_data",
    "bytes_sent",
    "connected",
    "connection_id",
    "data_format",
    "host",
    "local_address",
    "origin",
    "ready_to_send",
    "remote_host",
    "remote_port",
    "request_headers",
    "request_uri",
    "sub_protocols",
    "timeout",
)
NEGOTIATED = {  # the setting of a connection, and its field in a snapshot
    "SSLNegotiatedCipher": "cipher",
    "SSLNegotiatedCipherStrength": "cipher_bits",
    "SSLNegotiatedCipherSuite": "suite",
    "SSLNegotiatedKeyExchange": "key_exchange",
    "SSLNegotiatedKeyExchangeStrength": "key_exchange_bits",
    "SSLNegotiatedProtocol": "protocol",
}
server = WebSocketServer()
server.buffer_message = True
server.log_level = 1
seen: dict[str, list[Any]] = defaultdict(list)  # by connection id, 0 for none


def note(name: str, identity: int, *details: Any) -> None:
    if not seen[str(identity)] or seen[str(identity)][-1] != [name, *details]:
        seen[str(identity)].append([name, *details])


def read(to: int) -> dict[str, Any]:
    values = {name: getattr(server, f"get_web_socket_connection_{name}")(to) for name in READ}
    names = ("ConnectionUID", "MessageLength", *NEGOTIATED)
    return values | {name: server.config(f"{name}[{to}]") for name in names}


async def read_afar(to: int) -> dict[str, Any]:
    found = dataclasses.asdict(await server.connection(to))
    agreed = found.pop("negotiated")._asdict()
    values = {name: found[name] for name in READ} | {"connection_id": str(found["connection_id"])}
    values |= {"ConnectionUID": found["uid"], "MessageLength": str(found["message_length"])}
    return values | {name: str(agreed[field]) for name, field in NEGOTIATED.items()}


async def fill(to: int, size: int) -> int:
    """Send until the queue is full; return how many messages were taken."""
    count = 0
    while (await server.send(to, bytes(size))).name == "QUEUED":
        count += 1
        if count > 5000:
            raise ShardwsError("the queue has no bound")
    return count


def options_of(port: int) -> dict[str, int]:
    """Return socket options of the connection from that port of this host."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.getpeername()[1] == port:
                    return {
                        "in": sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
                        "out": sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
                        "no_delay": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                        "keeps": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        "idle": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                        "interval": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                        "count": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    }
        except (OSError, IndexError):
            continue
    return {}


def backlog() -> int:
    """Return the backlog of the listening socket, as the kernel has it (tcpi_sacked)."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as sock:
                is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
                if is_tcp and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                    found.append(int.from_bytes(info[28:32], "little"))
        except OSError:
            continue
    return max(found)


async def obey(do: str, to: int, value: Any) -> Any:
    match do:
        case "read":
            return read(to)
        case "read afar":
            return await read_afar(to)
        case "set":
            name, wanted = value
            getattr(server, f"set_web_socket_connection_{name}")(to, wanted)
        case "set afar":
            await server.set_connection(to, **value)
        case "send":
            return (await server.send(to, value.encode())).name
        case "send_text":
            return (await server.send_text(to, value)).name
        case "send_file":
            return (await server.send_file(to, value)).name
        case "forget":
            server.send(to, b"into the void")
        case "fill":
            return await fill(to, value)
        case "disconnect":
            return (await server.disconnect(to)).name
        case "config":
            return server.config(value)
        case "property":
            return getattr(server, value)
        case "assign":
            name, wanted = value
            setattr(server, name, wanted)
        case "seen":
            return seen[str(to)]
        case "seen all":
            return [event for events in seen.values() for event in events]
        case "options":
            return options_of(to)
        case "backlog":
            return backlog()
        case "interrupt":
            server.interrupt(to)
        case "shutdown":
            server.shutdown()
    return None


async def on_data_in(e: Any) -> None:
    data = e.text if e.eom else b"..."
    note("on_data_in", e.connection_id, e.data_format, data[:20].decode(errors="replace"), e.eom)
    if not (e.data_format == 1 and e.text.startswith(b'{"do"')):
        return
    order = json.loads(e.text)
    try:
        answer = {"result": await obey(order["do"], order["to"], order["with"])}
    except ShardwsError as error:
        answer = {"error": error.code}
    server.send_text(e.connection_id, json.dumps(answer))


def on_connected(e: Any) -> None:
    note("on_connected", e.connection_id)
    hello = {"connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid()}
    server.send_text(e.connection_id, json.dumps(hello))


def on_ssl_status(e: Any) -> None:
    is_packet = e.message.startswith("packet ")
    note("on_ssl_packet" if is_packet else "on_ssl_status", e.connection_id)


server.on_connection_request = lambda e: note("on_connection_request", 0, e.port)
server.on_ssl_connection_request = lambda e: note("on_ssl_connection_request", e.connection_id)
server.on_ssl_status = on_ssl_status
server.on_ssl_client_authentication = lambda e: note(
    "on_ssl_client_authentication", e.connection_id, e.cert_encoded.count(b"BEGIN"), e.status
)
server.on_web_socket_open_request = lambda e: note("on_web_socket_open_request", e.connection_id)
server.on_connected = on_connected
server.on_ready_to_send = lambda e: note("on_ready_to_send", e.connection_id)
server.on_data_in = on_data_in
server.on_disconnected = lambda e: note(
    "on_disconnected", e.connection_id, e.status_code, e.description
)
server.on_error = lambda e: note("on_error", e.connection_id, e.error_code)
server.on_log = lambda e: note("on_log", e.connection_id, e.log_level, e.log_type)


def main() -> None:
    """Serve from this process until a client says shutdown."""
    for name, value in json.loads(sys.argv[1]).items():
        setattr(server, name, value)
    try:
        server.listening = True
    except ShardwsError as error:
        sys.exit(f"{error}")
    print(server.local_port, flush=True)
    while server.listening:
        server.do_events()
    server.shutdown()  # it was begun in a coroutine: see it through


if __name__ == "__main__":
    main()
