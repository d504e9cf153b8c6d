"""A process forked from a program that serves: it has no connection of the server."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from shardws import ShardwsError, WebSocketServer
from tests.shard.embedded_server import EmbeddedServer, client_thread
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run


def fork(server: WebSocketServer) -> tuple[int, int]:
    """Return the pid of a child that has tried to use the server, and what ends it when closed."""
    said, say = os.pipe()
    wait, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        codes = b""
        try:
            os.close(go)
            for call in (lambda: server.send(1, b"x"), server.shutdown, server.do_events):
                try:
                    call()
                except ShardwsError as error:
                    codes += b"%d " % error.code
            os.write(say, codes or b"nothing was refused")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(say)
    os.close(wait)
    assert os.read(said, 100) == b"211 211 211 "
    os.close(said)
    return pid, go


def sockets_of(pid: int) -> set[str]:
    """Return the sockets that a process holds."""
    links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link for link in links if link.startswith("socket:")}


def socket_of(server: WebSocketServer) -> str:
    """Return the socket of the only connection."""
    shard: Any = server._shard
    (connection,) = shard.connections
    number = connection.get_extra_info("socket").fileno()
    return os.readlink(f"/proc/self/fd/{number}")


def test_a_child_of_a_program_on_its_own_loop() -> None:
    """It kept the client and the port."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server) as url:
            ws = await client(url)
            connection_id = (await recorder.wait_for("connected"))[0][1]
            pid, go = fork(server)
            assert socket_of(server) not in sockets_of(pid)
            await server.send_text(connection_id, "still here")
            assert await receive(ws) == "still here"
            again = await client(url)
            await again.close()
            os.close(go)
            await asyncio.to_thread(os.waitpid, pid, 0)
            await ws.close()

    run(main())


@pytest.mark.parametrize("count", [1, 3])
def test_children_of_a_program_that_calls_do_events(embedded: EmbeddedServer, count: int) -> None:
    server = embedded.server

    def on_data_in(e: Any) -> None:
        for _ in range(count):
            pid, go = fork(server)
            assert socket_of(server) not in sockets_of(pid)
            os.close(go)
            os.waitpid(pid, 0)
        server.send_text(e.connection_id, "done")

    def use(ws: Any) -> None:
        ws.send("fork")
        assert ws.recv(10) == "done"

    server.on_data_in = on_data_in
    with client_thread(embedded, use):
        pass
