"""Processes that an application forks from a shard keep neither clients nor the port."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    WriteApp,
    connect_to_shard,
    eventually,
)

pytestmark = pytest.mark.processes

APP = r"""
import asyncio, fcntl, gc, json, multiprocessing, os, re, signal, socket, subprocess, threading
import time
from shardws import ShardwsError, WebSocketServer
server = WebSocketServer()
server.config("BufferMessage=True")
fork = multiprocessing.get_context("fork")
mine = socket.create_server(("127.0.0.1", 0))  # the application's own: a child keeps it
def on_connected(e):
    server.send_text(e.connection_id, json.dumps({
        "connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid()}))
def sleep(connection):
    connection.send(os.getpid())
    time.sleep(60)
def look(connection, to):
    refusals = []
    for call in (
        lambda: server.send(to, b"x"), lambda: server.publish("g", "x"), server.shutdown,
        lambda: setattr(server, "max_groups", 1), lambda: server.disconnect(to),
    ):
        try:
            call()
        except ShardwsError as error:
            refusals.append([error.code, "forked" in str(error)])
    gc.collect()
    links = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{n}")]
    connection.send({
        "refusals": refusals, "mine": mine.fileno() >= 0 and mine.getsockname()[1] > 0,
        "epoll": sum("eventpoll" in link for link in links),
        "ignored": [int(n) for n in signal.valid_signals()
                    if signal.getsignal(n) is signal.SIG_IGN]})
def child(target, *arguments):
    reader, writer = fork.Pipe(duplex=False)
    process = fork.Process(target=target, args=(writer, *arguments))
    process.start()
    writer.close()
    return process, reader.recv()
def bare():
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    return pid
def unmarked():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and not fcntl.fcntl(int(name), fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass
    return found
def in_a_thread(to):
    server.send_text(to, json.dumps(child(sleep)[1]))
tasks = []
async def execute(to):
    command = "ls", "-l", "/proc/self/fd"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe)
    found = [(await process.communicate())[0].decode()]
    found.append(subprocess.run(command, stdout=pipe, text=True).stdout)
    found.append(subprocess.run(command, stdout=pipe, text=True, preexec_fn=str).stdout)
    names = [set(re.findall(r"socket:\S+|anon\S+", text)) for text in found]
    server.send_text(to, json.dumps([len(each) for each in names]))
def terminated():
    process, _ = child(sleep)
    process.terminate()
    process.join(10)
    return process.exitcode
def on_data_in(e):
    do = e.data
    if do == "exec":
        tasks.append(asyncio.get_running_loop().create_task(execute(e.connection_id)))
        return
    if do == "thread":
        threading.Thread(target=in_a_thread, args=(e.connection_id,)).start()
        return
    result = {
        "sleep": lambda: child(sleep)[1], "bare": bare, "unmarked": unmarked,
        "look": lambda: child(look, e.connection_id)[1], "terminated": terminated,
    }[do]()
    server.send_text(e.connection_id, json.dumps(result))
server.on_connected = on_connected
server.on_data_in = on_data_in
"""


def ask(client: ClientConnection, do: str) -> Any:
    client.send(do)
    return json.loads(client.recv(timeout=DEADLINE))


@contextlib.contextmanager
def ended(pid: int) -> Iterator[int]:
    """A child of the application's, killed at the end."""
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def sockets_of(pid: int) -> set[str]:
    """Return the sockets that a process holds."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            link = os.readlink(entry)
            if link.startswith("socket:"):
                found.add(link)
    return found


class Raw:
    """A client that leaves the end of TCP to the server, so that it can be waited for."""

    def __init__(self, server: RunningServer) -> None:
        self.sock = socket.create_connection((server.host, server.port), DEADLINE)
        self.sock.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.file = self.sock.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass
        self.hello = json.loads(self.frame()[1])

    def frame(self) -> tuple[int, bytes]:
        """Return the opcode and payload of a short frame."""
        first, size = self.file.read(2)
        assert size < 126
        return first & 0x0F, self.file.read(size)

    def say(self, payload: bytes, opcode: int = 1) -> None:
        self.sock.sendall(bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def ask(self, do: str) -> Any:
        self.say(do.encode())
        return json.loads(self.frame()[1])

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def leave(self) -> None:
        """Close, and wait for the server's FIN."""
        self.say(b"\x03\xe8", 8)
        assert self.frame() == (8, b"\x03\xe8")
        assert self.file.read() == b""


MODES = pytest.mark.parametrize("mode", ["reuseport", "handoff"])


@MODES
@pytest.mark.parametrize("how", ["sleep", "bare", "thread"])
def test_a_child_holds_no_client_and_no_port(
    run_server: RunServer, write_app: WriteApp, how: str, mode: str
) -> None:
    """Clients got no FIN, and the port accepted after the server's end, for as long as it lived."""
    server = run_server(write_app(APP), "--accept-mode", mode)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw(server))]
        while clients[-1].hello["shard"] != 1:
            clients.append(stack.enter_context(Raw(server)))
        client = clients.pop()
        child = stack.enter_context(ended(client.ask(how)))
        shared = sockets_of(child) & sockets_of(client.hello["pid"])
        # The application's own listener, and a pair of sockets by which signals wake a loop.
        assert len(shared) <= 3, shared
        client.leave()
        for other in clients:
            other.leave()
        server.ask("scale", shards=1)
        server.wait_for_status(lambda report: len(report["shards"]) == 1)
        for _ in range(20):
            server.connect().close()
        server.signal(signal.SIGINT)
        assert server.process.wait(DEADLINE) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), DEADLINE)
        again = run_server(write_app(APP), "--accept-mode", mode, port=server.port)
        again.connect()


def test_a_child_is_refused_and_harms_its_parent_in_nothing(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(APP))
    client, _ = connect_to_shard(server, 0)
    other, _ = connect_to_shard(server, 1)
    found = ask(client, "look")
    assert found["refusals"] == [[211, True]] * 5
    assert found["mine"] is True
    assert found["epoll"] == 0
    assert found["ignored"] in ([signal.SIGPIPE], [signal.SIGPIPE, signal.SIGXFSZ])
    for asked in (client, other):
        assert ask(asked, "unmarked") == []


def test_programs_that_are_executed_inherit_nothing(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(APP), shards=1)
    client, _ = connect_to_shard(server, 0)
    for _ in range(2):
        # uvloop's pipe from its child is a pair of sockets, and one end of it the child's own.
        assert ask(client, "exec") == [1, 0, 0]


def test_a_child_ends_by_terminate(run_server: RunServer, write_app: WriteApp) -> None:
    """It took TERM for one to its parent, which asked for a successor."""
    server: RunningServer = run_server(write_app(APP), shards=1)
    client, hello = connect_to_shard(server, 0)
    assert ask(client, "terminated") == -signal.SIGTERM
    assert ask(client, "unmarked") == []
    eventually(lambda: server.shard_pids() == {0: hello["pid"]})
