"""Handlers that raise what no handler should: neither a shard nor a client pays for it."""

import os
import signal

import pytest

from tests.processes.conftest import DEADLINE, RunServer, WriteApp

pytestmark = pytest.mark.processes

APP = """
import asyncio, sys
from shardws import WebSocketServer
server = WebSocketServer()
server.buffer_message = True

class Speechless(Exception):
    def __str__(self):
        return self.args[0]  # a number: str() of it raises TypeError

class Own(BaseException):
    pass

RAISED = {
    b"interrupt": KeyboardInterrupt, b"exit": SystemExit, b"own": Own, b"closed": GeneratorExit
}

def fail(text):
    raise RAISED.get(text, Speechless)(42)

async def fail_later(text):
    await asyncio.sleep(0)
    fail(text)

def on_data_in(e):
    way, _, text = e.text.partition(b" ")
    if way == b"echo":
        server.send(e.connection_id, text)
        return None
    return fail(text) if way == b"plain" else fail_later(text)

def on_disconnected(e):
    sys.stderr.write(f"told of {e.connection_id}\\n")
    fail(b"")

def on_error(e):
    sys.stderr.write(f"error {e.error_code}\\n")
    fail(b"")

def on_web_socket_open_request(e):
    if e.request_uri == "/bad":
        fail(b"")

server.on_data_in = on_data_in
server.on_disconnected = on_disconnected
server.on_error = on_error
server.on_web_socket_open_request = on_web_socket_open_request
server.on_connected = lambda e: server.send_text(e.connection_id, str(e.connection_id))
"""


@pytest.mark.parametrize("way", ["plain", "later"])
@pytest.mark.parametrize("error", ["interrupt", "exit", "own", "closed", "speechless"])
def test_whatever_a_handler_raises_its_client_stays(
    run_server: RunServer, write_app: WriteApp, way: str, error: str
) -> None:
    """KeyboardInterrupt ended the shard or cut the client, and so did a bad `str()` (F06, W11)."""
    server = run_server(write_app(APP), shards=1)
    client, other = server.connect(), server.connect()
    pids = server.shard_pids()
    for one in (client, other):
        one.recv(timeout=DEADLINE)
    client.send(f"{way} {error}")
    server.wait_for_line("^error 436")
    for one in (client, other):
        one.send("echo still here")
        assert one.recv(timeout=DEADLINE) == b"still here"
    assert server.shard_pids() == pids


def test_each_lost_connection_is_told_though_its_handler_fails(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """The first failure ended the report, and the shard that told it (F06)."""
    server = run_server(write_app(APP), shards=1)
    clients = [server.connect() for _ in range(5)]
    ids = [int(client.recv(timeout=DEADLINE)) for client in clients]
    os.kill(server.shard_pids()[0], signal.SIGKILL)
    for identity in ids:
        server.wait_for_line(f"^told of {identity}$")
    client = server.connect()
    client.recv(timeout=DEADLINE)
    client.send("echo well")
    assert client.recv(timeout=DEADLINE) == b"well"
    assert "orphaned" not in server.log


def test_an_opening_whose_handler_fails_is_answered(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(APP), shards=1)
    with pytest.raises(Exception, match="500"):
        server.connect("/bad")
