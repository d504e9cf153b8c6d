"""A takeover that is led step by step: P hands to S while X and Y look on."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from shardws.wire.messages import Peer
from tests.unit.routing.takeover.process import Client, Process, SimConnection, closing
from tests.unit.routing.takeover.virtual_loop import Net, Pipe, VirtualLoop


class Steps:
    """Four processes that know each other, and a client of P."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.net = Net(loop, Random(1))
        self.p, self.s, self.x, self.y = (
            Process(self.net, slot, generation, 100 + at, 16 << 20)
            for at, (slot, generation) in enumerate(((1, 0), (1, 1), (0, 0), (2, 0)))
        )
        self.all = [self.p, self.s, self.x, self.y]

    async def begin(self) -> Client:
        for process in self.all:
            await process.start()
        self.announce(*self.all)
        await self.until(lambda: all(len(one.mesh.links) == 3 for one in self.all))
        await asyncio.sleep(0.5)
        return self.p.connect()

    def announce(self, *to: Process, switched: bool = False) -> None:
        """Send PEERS to some; `switched`: S serves what P did."""
        peers = []
        for one in self.all:
            identity = one.identity
            served = (self.p.incarnation,) if switched and one is self.s else ()
            peers.append(Peer(identity.row, identity.generation, identity.pid, served))
        for process in to:
            process.mesh.set_peers([one for one in peers if one.pid in self._living()])

    def _living(self) -> set[int]:
        return {one.identity.pid for one in self.all if not one.is_dead}

    def depart(self, client: Client) -> SimConnection:
        """Put the stub in place; return what arrives at S."""
        old = client.connection
        new = SimConnection(client, self.s)
        new.groups = set(old.groups or ()) or None
        self.p.router.departures.depart(old, self.s.incarnation)
        old.has_left = True
        client.connection = new
        return new

    def enter(self, client: Client) -> None:
        self.s.router.arrivals.enter(client.connection, self.p.incarnation)

    def confirm(self, client: Client) -> None:
        self.p.router.departures.confirm(client.id)

    async def move(self, client: Client) -> None:
        self.depart(client)
        self.enter(client)
        self.confirm(client)
        await asyncio.sleep(0.1)

    def pipe(self, source: Process, target: Process) -> Pipe:
        link = source.mesh.links[target.incarnation]
        return next(pipe for pipe in self.net.pipes if pipe.outbound is link)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - time is virtual
                await asyncio.sleep(0.01)


def lead(scenario: Callable[[Steps, Client], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario; nothing may be left of it, and no callback may fail."""
    loop = VirtualLoop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))

    async def main() -> None:
        steps = Steps(loop)
        client = await steps.begin()
        try:
            await scenario(steps, client)
            living = [one for one in steps.all if not one.is_dead]
            steps.announce(*living, switched=True)
            await steps.until(lambda: not any(one.leftovers() for one in living))
        finally:
            for process in steps.all:
                if not process.is_dead:
                    await closing(process)
        assert not errors, errors[0]

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
