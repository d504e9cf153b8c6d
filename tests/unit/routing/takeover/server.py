"""The simulated server: a supervisor that announces, and takeovers step by step.

Every step may come at any moment, and any process may die between two of them.
"""

import asyncio
from collections.abc import Coroutine
from random import Random

from shardws.wire.messages import Peer
from tests.unit.routing.takeover.process import Client, Process, SimConnection, closing
from tests.unit.routing.takeover.virtual_loop import Net, VirtualLoop

SWITCH_SECONDS = 20.0  # more than any wait has


class Server:
    """Processes, their clients, and what the supervisor knows."""

    def __init__(self, loop: VirtualLoop, random: Random, mark: int) -> None:
        self.loop = loop
        self.random = random
        self.net = Net(loop, random)
        self.processes: list[Process] = []  # that the supervisor believes to live
        self.all: list[Process] = []
        self.clients: list[Client] = []
        self.owners: dict[int, int] = {}
        self.switched: list[int] = []  # predecessors that said so
        self.moved = 0
        self.left_behind: set[int] = set()  # ids of connections that did not move
        self._mark = mark
        self._generations: dict[int, int] = {}
        self._channels: dict[Process, asyncio.Queue[list[Peer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        return task

    async def pause(self, most: float) -> None:
        await asyncio.sleep(self.random.random() * most)

    # -- processes

    async def start(self, slot: int) -> Process:
        """Start the next generation of a slot."""
        generation = self._generations.get(slot, -1) + 1
        self._generations[slot] = generation
        pid = 1000 + len(self.all)
        process = Process(self.net, slot, generation, pid, self._mark)
        await process.start()
        self._channels[process] = asyncio.Queue()
        self.spawn(self._channel(process))
        self.processes.append(process)
        self.all.append(process)
        self.announce()
        return process

    def connect(self, process: Process) -> Client:
        client = process.connect()
        self.clients.append(client)
        return client

    async def _channel(self, process: Process) -> None:
        """Deliver PEERS in order, each after a while of its own."""
        while not process.is_dead:
            peers = await self._channels[process].get()
            await self.pause(self.random.choice((0.001, 0.03)))
            if not process.is_dead:
                process.mesh.set_peers(peers)
                process.is_ready.set()

    def announce(self) -> None:
        peers = []
        for one in self.processes:
            served = tuple(key for key, owner in self.owners.items() if owner == one.incarnation)
            identity = one.identity
            peers.append(Peer(identity.row, identity.generation, identity.pid, served))
        for one in self.processes:
            self._channels[one].put_nowait(peers)

    def kill(self, process: Process) -> None:
        if not process.is_dead:
            process.kill()
            self.spawn(self._bury(process))

    async def _bury(self, process: Process) -> None:
        """The supervisor hears of a death."""
        await self.pause(0.01)
        self.processes.remove(process)
        self.owners = {k: owner for k, owner in self.owners.items() if owner != process.incarnation}
        self.announce()

    # -- takeovers

    async def take_over(self, predecessor: Process, successor: Process) -> None:
        """Move what can move, announce the new owner, and let the predecessor end."""
        while successor.incarnation not in predecessor.mesh.links:
            await self.pause(0.01)
            if predecessor.is_dead or successor.is_dead:
                return
        before = self.moved
        for _ in range(self.random.randint(1, 3)):
            await self._batch(predecessor, successor)
        if self.moved == before or successor.is_dead:
            return
        for served in [key for key, own in self.owners.items() if own == predecessor.incarnation]:
            self.owners[served] = successor.incarnation
        self.owners[predecessor.incarnation] = successor.incarnation
        self.left_behind.update(one.id for one in predecessor.connections())
        self.announce()
        if not predecessor.is_dead:
            await self._finish(predecessor, successor)

    async def _finish(self, predecessor: Process, successor: Process) -> None:
        done = asyncio.Event()
        predecessor.router.departures.when_switched(done.set)
        until = self.loop.time() + SWITCH_SECONDS
        while not (done.is_set() or predecessor.is_dead or successor.is_dead):
            await self.pause(0.05)
            assert self.loop.time() < until, f"not switched: {predecessor.leftovers()}"
        if done.is_set():
            self.switched.append(predecessor.incarnation)
        if done.is_set() and not predecessor.is_dead:
            await self.pause(0.2)
            if not predecessor.is_dead:
                await closing(predecessor)
                await self.pause(0.01)
                self.processes.remove(predecessor)
                self.announce()

    async def _batch(self, predecessor: Process, successor: Process) -> None:
        moves = []
        for connection in predecessor.connections():
            if self.random.random() < 0.7 and connection.streaming is None:
                moves.append(self.spawn(self._move(connection, predecessor, successor)))
            if self.random.random() < 0.3:
                await self.pause(0.005)
        await asyncio.gather(*moves)

    async def _move(self, old: SimConnection, predecessor: Process, successor: Process) -> None:
        if old.client.is_closed or predecessor.is_dead or successor.is_dead:
            return
        if old.streaming is not None or predecessor.registry.get(old.id) is not old:
            return
        new = SimConnection(old.client, successor)
        new.groups = set(old.groups or ()) or None
        predecessor.router.departures.depart(old, successor.incarnation)
        old.has_left = True
        old.client.connection = new  # the record and the descriptor, in flight
        await self.pause(0.02)
        is_refused = self.random.random() < 0.1 or not successor.lives()
        if not is_refused:
            successor.router.arrivals.enter(new, predecessor.incarnation)
            self.moved += 1
        await self.pause(0.02)
        if not predecessor.lives():
            if is_refused or not successor.lives():
                old.client.is_killed = old.client.is_closed = True
        elif is_refused or (not successor.lives() and self.random.random() < 0.5):
            old.has_left = False
            old.client.connection = old
            old.client.is_killed = old.client.is_closed = False
            predecessor.router.departures.take_back(old)
        else:
            predecessor.router.departures.confirm(old.id)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self.all:
            if not process.is_dead:
                await closing(process)
