"""Several shards' routing in one process and on one loop, with connections made of lists.

Waiting is for events, each with a deadline; what would hang fails after `DEADLINE` seconds.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from shardws import ids
from shardws.interfaces import Recipient, Source
from shardws.outcomes import QUEUED, SETTLED, Outcome, SendOutcome
from shardws.protocol.formats import message_of
from shardws.routing.identity import Identity
from shardws.routing.mesh import Mesh
from shardws.routing.registry import Registry
from shardws.routing.router import Router
from shardws.stats import Stats
from shardws.wire import messages as m
from shardws.wire.codec import encode
from shardws.wire.messages import Peer

DEADLINE = 20.0
NONCE = "0123456789abcdef"
PID = os.getpid()
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Signal:
    """Something that is waited for until a condition holds; `notify` makes all look again."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future


class FakeConnection:
    """A connection that keeps what it gets, and answers as it is told."""

    def __init__(self, connection_id: int) -> None:
        self.id = connection_id
        self.groups: set[str] | None = None
        self.got: list[tuple[int, bytes]] = []
        self.sources: list[tuple[int, Source]] = []
        self.closed: tuple[int, str] | None = None
        self.outcome = Outcome.QUEUED
        self.data_format = 0
        self.error: Exception | None = None
        self.arrived = Signal()

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        if self.error is not None:
            raise self.error
        if self.outcome.is_success:
            self.got.append((kind, payload))
        self.arrived.notify()
        return SETTLED[self.outcome]

    def formatted(self, payload: bytes) -> tuple[int, bytes]:
        return message_of(payload, self.data_format)

    def stream(self, kind: int, source: Source) -> SendOutcome:
        self.sources.append((kind, source))
        self.arrived.notify()
        return QUEUED

    def disconnect(self, code: int, reason: str) -> SendOutcome:
        if self.error is not None:
            raise self.error
        self.closed = (code, reason)
        self.arrived.notify()
        return QUEUED

    async def wait_for(self, count: int) -> None:
        await self.arrived.until(lambda: len(self.got) >= count)


def share(recipients: list[Recipient], kind: int, payload: bytes) -> list[Recipient]:
    return [one for one in recipients if one.send(kind, payload).outcome is Outcome.FULL]


class RecordingSink:
    """Keeps what routing tells its shard."""

    def __init__(self) -> None:
        self.failed: list[tuple[int, Outcome]] = []
        self.streams_failed: list[tuple[int, int, str]] = []
        self.lost: list[int] = []
        self.ready: list[int] = []
        self.replies: dict[tuple[int, str], bytes] = {}
        self.error: Exception | None = None
        self.told = Signal()

    def send_failed(self, connection_id: int, outcome: Outcome) -> None:
        self.failed.append((connection_id, outcome))
        self.told.notify()

    def stream_failed(self, connection_id: int, code: int, description: str) -> None:
        self.streams_failed.append((connection_id, code, description))
        self.told.notify()

    def sends_lost(self, count: int) -> None:
        self.lost.append(count)
        self.told.notify()

    def ready_to_send(self, connection_id: int) -> None:
        self.ready.append(connection_id)
        self.told.notify()

    def reply(self, connection_id: int, what: str) -> bytes | None:
        if self.error is not None:
            raise self.error
        return self.replies.get((connection_id, what))


class RoutingShard:
    """Routing of one shard."""

    def __init__(self, directory: str, slot: int, generation: int = 0, **options: Any) -> None:
        self.stats = Stats(1).row(0)
        self.sink = RecordingSink()
        self.registry = Registry()
        nonce = options.pop("nonce", NONCE)
        self.identity = Identity(0, slot, generation, os.getpid(), nonce)
        self.mesh = Mesh(
            asyncio.get_running_loop(),
            self.identity,
            directory,
            self.sink,
            row=self.stats,
            **options,
        )
        self.router = Router(self.mesh, self.registry, self.sink, share)

    @property
    def peer(self) -> Peer:
        return Peer(self.identity.row, self.identity.generation, self.identity.pid)

    async def start(self) -> None:
        await self.mesh.start(self.router.receiver)

    def id(self, serial: int = 1) -> int:
        return ids.pack(0, self.identity.slot, self.identity.generation, serial)

    def connect(self, serial: int = 1) -> FakeConnection:
        connection = FakeConnection(self.id(serial))
        self.registry.add(connection)
        return connection


class Cluster:
    """A run directory and the shards that live there."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="town-")
        self.shards: list[RoutingShard] = []

    async def start_shard(self, slot: int, generation: int = 0, **options: Any) -> RoutingShard:
        """Start a shard; nobody knows of it yet."""
        shard = RoutingShard(self.directory, slot, generation, **options)
        await shard.start()
        self.shards.append(shard)
        return shard

    async def start_shards(self, count: int, **options: Any) -> list[RoutingShard]:
        """Start shards that are told of each other."""
        shards = [await self.start_shard(slot, **options) for slot in range(count)]
        self.announce()
        return shards

    def announce(self) -> None:
        """Tell every shard of all that run, as the supervisor does."""
        peers = [shard.peer for shard in self.shards]
        for shard in self.shards:
            shard.mesh.set_peers(peers)

    async def end(self, shard: RoutingShard) -> None:
        """End one shard in order, without telling the others."""
        self.shards.remove(shard)
        await shard.mesh.close()

    async def close(self) -> None:
        for shard in self.shards:
            for link in shard.mesh.links.values():
                shard.mesh._dialer.stop(link)
        for _ in range(3):
            # What was dialed just now is accepted before its listener closes: asyncio (not
            # uvloop) leaks a connection whose server is closed in between.
            await asyncio.sleep(0)
        for shard in list(self.shards):
            await self.end(shard)
        shutil.rmtree(self.directory)


def run_scenario(loop: str, scenario: Callable[[Cluster], Coroutine[Any, Any, None]]) -> None:
    """Run a story in a town of its own on one of LOOPS."""

    async def main() -> None:
        cluster = Cluster()
        try:
            async with asyncio.timeout(DEADLINE):
                await scenario(cluster)
        finally:
            await cluster.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


async def outcome_of(wanted: Awaitable[Outcome]) -> Outcome:
    """Await an outcome with a deadline."""
    async with asyncio.timeout(DEADLINE):
        return await wanted


async def turn_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds of which nobody tells."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)


def hello(**changes: Any) -> bytes:
    said = {"node": 0, "slot": 1, "generation": 0, "pid": PID, "boot_nonce": NONCE, **changes}
    return encode(m.HELLO, m.VERSION, *said.values())


def link_log(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged about links, without the dials that were tried again."""
    lines = [record.getMessage() for record in caplog.records if record.name == "shardws.routing"]
    return [line for line in lines if "retrying" not in line]


class RawPeer:
    """A bare socket that says what it likes to a shard."""

    def __init__(self, shard: RoutingShard, cluster: Cluster) -> None:
        self._path = f"{cluster.directory}/shard-{shard.identity.row}.sock"

    async def send(self, data: bytes) -> None:
        self.reader, self.writer = await asyncio.open_unix_connection(self._path)
        self.writer.write(data)

    async def is_disconnected(self) -> bool:
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True
        finally:
            self.writer.close()
