"""A reload of four shards under two hundred echoing clients: a server is there at every instant."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.processes.conftest import DEADLINE, RunningServer, RunServer

pytestmark = pytest.mark.processes

CLIENTS = 200


class Swarm:
    """Clients that echo, and come back at once when they are told 1012."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.seen: Counter[str] = Counter()
        self.pids: set[int] = set()
        self.is_over = asyncio.Event()
        self.connected = 0
        self._progress = asyncio.Event()

    async def wait_until(self, what: Callable[[], bool]) -> None:
        """Return once `what` is true; it is looked at when a client has met a server or a close."""
        async with asyncio.timeout(DEADLINE):
            while not what():
                self._progress.clear()
                await self._progress.wait()

    @property
    def told(self) -> int:
        return self.seen["closed 1012"]

    async def client(self) -> None:
        while not self.is_over.is_set():
            try:
                async with connect(self.server.url, open_timeout=DEADLINE) as socket:
                    hello = json.loads(await socket.recv())
                    self.pids.add(hello["pid"])
                    self.connected += 1
                    self._progress.set()
                    await self.echo(socket)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                self.seen[f"closed {code}"] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                self.seen[repr(error)] += 1
            self._progress.set()

    async def echo(self, socket: object) -> None:
        number = 0
        while not self.is_over.is_set():
            await socket.send(str(number))  # type: ignore[attr-defined]
            assert await socket.recv() == str(number)  # type: ignore[attr-defined]
            self.seen["echoed"] += 1
            number += 1


async def reload_under(swarm: Swarm) -> None:
    server = swarm.server
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(swarm.client())
        await swarm.wait_until(lambda: swarm.connected >= CLIENTS)
        server.ask("reload")
        await asyncio.to_thread(server.wait_for_status, lambda report: report["phase"] == "serving")
        # The server may be done before the last clients have read what it told them.
        after = set(server.shard_pids().values())
        await swarm.wait_until(lambda: swarm.pids > after and swarm.told >= CLIENTS)
        swarm.is_over.set()


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_nobody_is_refused_and_nothing_is_lost(run_server: RunServer, mode: str) -> None:
    server = run_server(
        "examples.demo:server", "--accept-mode", mode, "--reload-mode", "drain", shards=4
    )
    before = set(server.shard_pids().values())
    swarm = Swarm(server)
    asyncio.run(reload_under(swarm))
    after = set(server.shard_pids().values())
    assert not before & after
    assert swarm.pids > after, "every successor has been met"
    told = swarm.seen.pop("closed 1012")
    assert told >= CLIENTS
    assert swarm.seen.pop("echoed") > told
    assert swarm.seen == {}, "nothing but echoes and 1012"
