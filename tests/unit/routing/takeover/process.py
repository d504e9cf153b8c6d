"""One process of the simulated server: its routing, and clients made of lists."""

import asyncio
import contextlib
from collections import deque
from typing import Any

from shardws import ids
from shardws.interfaces import Recipient, Source
from shardws.outcomes import QUEUED, SETTLED, LaterSend, Outcome, SendOutcome
from shardws.protocol.formats import message_of
from shardws.routing.identity import Identity
from shardws.routing.mesh import Mesh
from shardws.routing.registry import Registry
from shardws.routing.router import Router
from tests.unit.routing.takeover.virtual_loop import Net

NONCE = "0123456789abcdef"
FRAME = 16_384  # of a stream


class Client:
    """Somebody who is connected, to whichever process; keeps what it is sent."""

    def __init__(self, connection_id: int, born: float) -> None:
        self.id = connection_id
        self.born = born
        self.got: list[bytes] = []
        self.is_closed = False
        self.is_killed = False  # its process died
        self.was_streaming = False  # when it was closed
        self.connection: SimConnection


class SimConnection:
    """A connection as routing sees it."""

    def __init__(self, client: Client, process: "Process") -> None:
        self.id = client.id
        self.groups: set[str] | None = None
        self.client = client
        self.process = process
        self.is_full = False
        self.has_left = False  # its record is on the way
        self.streaming: Source | None = None
        self._stream_result: LaterSend | None = None
        self._content = b""
        self._behind: deque[bytes] = deque()  # waits for the end of the stream

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        if self.process.is_dead:
            return QUEUED  # nobody hears of it
        assert not self.has_left, "sent to a connection that is elsewhere"
        assert self.client.connection is self
        if self.client.is_closed:
            return SETTLED[Outcome.DROPPED]
        if self.is_full:
            return SETTLED[Outcome.FULL]
        if self.streaming is not None:
            self._behind.append(payload)
        else:
            self.client.got.append(payload)
        return QUEUED

    def formatted(self, payload: bytes) -> tuple[int, bytes]:
        return message_of(payload, 0)

    def disconnect(self, code: int, reason: str) -> SendOutcome:
        if self.client.is_closed:
            return SETTLED[Outcome.DROPPED]
        if not self.process.is_dead:
            self.process.end(self)
        return QUEUED

    def stream(self, kind: int, source: Source) -> SendOutcome:
        if self.process.is_dead or self.client.is_closed or self.streaming is not None:
            source.finish(Outcome.FULL if self.streaming is not None else Outcome.DROPPED)
            return SETTLED[Outcome.FULL if self.streaming is not None else Outcome.DROPPED]
        self.streaming = source
        self._content = b""
        result = self._stream_result = LaterSend(self.id, lambda *_: None)
        source.wake = self._read
        self._read()
        return result

    def _read(self) -> None:
        source = self.streaming
        while source is not None and not self.process.is_dead:
            try:
                piece = source.read(FRAME)
            except OSError:
                self.process.end(self)
                return
            if piece is None:
                return
            self._content += piece
            if not piece:
                self.client.got.append(self._content)
                self._end_stream(Outcome.QUEUED)
                return

    def _end_stream(self, outcome: Outcome) -> None:
        source, self.streaming = self.streaming, None
        if source is not None and self._stream_result is not None:
            source.wake = lambda: None
            source.finish(outcome)
            self._stream_result.settle(outcome)
        self.client.got.extend(self._behind)
        self._behind.clear()

    def close(self) -> None:
        self.client.is_closed = True
        if self.streaming is not None:
            self.client.was_streaming = True
            self._behind.clear()
            self._end_stream(Outcome.DROPPED)


def share(recipients: list[Recipient], kind: int, payload: bytes) -> list[Recipient]:
    return [one for one in recipients if one.send(kind, payload).outcome is Outcome.FULL]


class Sink:
    """Takes what routing reports."""

    def __init__(self) -> None:
        self.failed: list[tuple[int, Outcome]] = []
        self.ready: set[int] = set()

    def send_failed(self, connection_id: int, outcome: Outcome) -> None:
        self.failed.append((connection_id, outcome))

    def stream_failed(self, connection_id: int, code: int, description: str) -> None: ...
    def sends_lost(self, count: int) -> None: ...

    def ready_to_send(self, connection_id: int) -> None:
        self.ready.add(connection_id)

    def reply(self, connection_id: int, what: str) -> bytes | None:
        return b"%d" % connection_id


class Process:
    """Routing of one generation of a slot."""

    def __init__(self, net: Net, slot: int, generation: int, pid: int, mark: int) -> None:
        self.net = net
        self.identity = Identity(0, slot, generation, pid, NONCE)
        self.incarnation = self.identity.incarnation
        self.sink = Sink()
        self.registry = Registry()
        self.mesh = Mesh(net.loop, self.identity, "/", self.sink, link_high_mark=mark)
        self.router = Router(self.mesh, self.registry, self.sink, share)
        self.is_dead = False
        self.is_ready = asyncio.Event()  # it knows its peers
        self.number = 0  # of the last message it sent
        self._serial = 0
        net.add(self.mesh)

    async def start(self) -> None:
        await self.mesh.start(self.router.receiver)

    def connect(self) -> Client:
        self._serial += 1
        slot, generation = self.identity.slot, self.identity.generation
        client = Client(ids.pack(0, slot, generation, self._serial), self.net.loop.time())
        client.connection = SimConnection(client, self)
        self.registry.add(client.connection)
        return client

    def connections(self) -> list[SimConnection]:
        found = [*self.registry.snapshot(), *self.router.arrivals.visiting.values()]
        return [one for one in dict.fromkeys(found) if isinstance(one, SimConnection)]

    def end(self, connection: SimConnection) -> None:
        """A connection is over."""
        connection.close()
        self.router.remove(connection)

    def lives(self) -> bool:
        return not self.is_dead

    def kill(self) -> None:
        self.is_dead = True
        for connection in self.connections():
            if not connection.client.is_closed:
                connection.client.is_killed = connection.client.is_closed = True
        self.net.kill(self.mesh)

    def leftovers(self) -> dict[str, Any]:
        """Return what should be empty when nothing happens any more."""
        router = self.router
        receiver = router.receiver
        found: dict[str, Any] = {
            "stubs": len(router.departures),
            "visiting": router.arrivals.visiting,
            "arriving": router.arrivals.predecessor + 1,
            "hold": router.arrivals.hold,
            "timers": router.arrivals._timers,
            "overrides": self.mesh.owners.overrides,
            "forwarded": not receiver._transit.forwarding.is_idle,
            "streams": {**receiver.streams._outgoing, **receiver.streams._incoming},
            "paused": [one for one in self.mesh.inbounds.values() if one.is_paused],
            "departed": router.departures.groups.names(),
            "arrived": router.arrivals.groups.names(),
        }
        return {name: value for name, value in found.items() if value}


async def closing(process: Process) -> None:
    """End a process in order."""
    for connection in process.connections():
        process.end(connection)
    process.is_dead = True
    with contextlib.suppress(KeyError):
        del process.net.meshes[process.incarnation]
    await process.mesh.close()
