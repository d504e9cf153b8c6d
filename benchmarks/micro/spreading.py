"""Scenarios of sends to another shard and to many: a link between two shards, and a broadcast.

Both take the number of messages of one batch. The shards of the first are two sets of routing on
one loop, with real Unix sockets between them and a connection that keeps nothing.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvloop

from shardws import DataIn, ids
from shardws.net.connection import Connection
from shardws.net.connection.sharing import Sharing
from shardws.net.connection.states import OPEN
from shardws.net.pump import Pump
from shardws.outcomes import QUEUED, Outcome, SendOutcome
from shardws.protocol.session import Session, SessionConfig
from shardws.routing.identity import Identity
from shardws.routing.mesh import Mesh
from shardws.routing.registry import Registry
from shardws.routing.router import Router
from shardws.stats import Stats
from shardws.wire.messages import Peer

LINK_LIMIT_S = 60.0
SUBSCRIBERS = 8
TEXT = 1


class Drain:
    """A connection that counts down the messages it still expects."""

    groups: set[str] | None = None

    def __init__(self, connection_id: int) -> None:
        self.id = connection_id
        self.missing = 0
        self.is_done = asyncio.Event()

    def expect(self, count: int) -> None:
        self.missing = count
        self.is_done.clear()

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        self.missing -= 1
        if not self.missing:
            self.is_done.set()
        return QUEUED


class Sink:
    """Receives failures, of which there are none."""

    def fail(self, *told: Any) -> None:
        raise AssertionError(told)

    send_failed = sends_lost = ready_to_send = reply = fail


class Routing:
    """One shard's routing, in a directory shared with the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: str, slot: int) -> None:
        self.identity = Identity(0, slot, 0, os.getpid(), "0" * 16)
        sink = cast(Any, Sink())
        self.mesh = Mesh(loop, self.identity, directory, sink)
        self.registry = Registry()
        self.router = Router(self.mesh, self.registry, sink, lambda *message: ())

    async def meet(self, others: "list[Routing]") -> None:
        await self.mesh.start(self.router.receiver)
        self.mesh.set_peers([Peer(one.identity.row, 0, os.getpid()) for one in others])


def fail(*told: Any) -> None:
    raise AssertionError(told)


@contextmanager
def sending_across(per_batch: int) -> Iterator[Callable[[int], None]]:
    """Messages of 100 B with failure reports, by id to a connection of the other shard."""
    loop = uvloop.new_event_loop()
    directory = tempfile.mkdtemp(prefix="micro-")
    here, there = shards = [Routing(loop, directory, slot) for slot in (0, 1)]
    drain = Drain(ids.pack(0, 1, 0, 1))
    there.registry.add(cast(Any, drain))
    payload = bytes(100)

    async def meet() -> None:
        for one in shards:
            await one.meet(shards)
        async with asyncio.timeout(LINK_LIMIT_S):
            assert await here.router.send(drain.id, TEXT, payload) is Outcome.QUEUED

    async def run(batches: int) -> None:
        async with asyncio.timeout(LINK_LIMIT_S):
            for _ in range(batches):
                drain.expect(per_batch)
                for _ in range(per_batch):
                    here.router.send(drain.id, TEXT, payload).if_failed(fail)
                await drain.is_done.wait()

    async def part() -> None:
        for one in shards:
            await one.mesh.close()

    try:
        loop.run_until_complete(meet())
        yield lambda batches: loop.run_until_complete(run(batches))
        loop.run_until_complete(part())
    finally:
        loop.close()
        shutil.rmtree(directory)


class Keeper:
    """The part of a shard that its connections use when they send."""

    config = None
    now = 0.0

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.pump = Pump(
            handlers=None,
            dispatch=None,
            event_type=DataIn,
            queued=QUEUED,
            row=Stats(1).row(0),
            index=(0, 1, 2, 3),
            call_soon=self.soon.append,
            time=lambda: 0.0,
            on_error=fail,
        )
        self.size = 0

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """In place of each connection's transport, as `write`."""

    def write(self, data: bytes) -> None:
        """Replaces each connection's transport."""
        self.size += len(data)


def subscribed(keeper: Keeper) -> Connection:
    connection = Connection(cast(Any, keeper))
    connection.state = OPEN
    connection.session = Session(SessionConfig())
    connection.is_plain = True
    connection.attach(cast(Any, keeper))
    return connection


def broadcasting(per_batch: int) -> Callable[[], object]:
    """Several messages of 125 B in one turn to SUBSCRIBERS, without the kernel; per delivery."""
    keeper = Keeper()
    connections = [subscribed(keeper) for _ in range(SUBSCRIBERS)]
    share = Sharing(keeper.pump).share
    payload = bytes(125)

    def once() -> None:
        for _ in range(per_batch // SUBSCRIBERS):
            assert not share(connections, TEXT, payload)
        keeper.soon.pop()()
        assert keeper.size == per_batch * 127
        keeper.size = 0

    return once
