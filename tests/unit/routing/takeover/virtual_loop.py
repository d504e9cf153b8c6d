"""An event loop whose time passes at once, and links between processes that live in memory.

Everything that waits is a timer, so a run depends on its random numbers and on nothing else. Bytes
of one link keep their order, and arrive in pieces and after delays of their own: what is said on
different links comes in any order.
"""

import asyncio
import os
import selectors
import struct
from collections.abc import Mapping
from random import Random
from typing import Any, cast

from shardws.routing.inbound_link import InboundLink
from shardws.routing.mesh import Mesh
from shardws.routing.outbound_link import OutboundLink


class NothingWaits(selectors.BaseSelector):
    """Never blocks: lets the time pass that there was to wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileobj] = selectors.SelectorKey(fileobj, number, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for something that does not come"
        self.now += max(timeout, 0.0)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a time of its own."""

    def __init__(self) -> None:
        self._waits = NothingWaits()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.now


class PeerSocket:
    """Says who is at the other end, as SO_PEERCRED does."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def getsockopt(self, *_: int) -> bytes:
        return struct.pack("iII", self._pid, os.geteuid(), 0)


class Pipe:
    """One link: a transport to its outbound end, and by `reader` one to its inbound end."""

    KERNEL_BYTES = 1 << 18

    def __init__(self, net: "Net", outbound: OutboundLink, inbound: InboundLink, pid: int) -> None:
        self.net = net
        self.outbound = outbound
        self.inbound = inbound
        self.reader = Reader(self, pid)
        self.is_cut = False
        self._delay = net.random.choice((0.0002, 0.002, 0.02))
        self._data = bytearray()
        self._is_ending = False
        self._is_paused = False
        self._is_full = False
        self._timer: asyncio.TimerHandle | None = None

    # -- the writer's transport

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def write(self, data: bytes) -> None:
        if self.is_cut:
            return
        self._data += data
        if len(self._data) > self.KERNEL_BYTES and not self._is_full:
            self._is_full = True
            self.outbound.pause_writing()
        self._go()

    def get_write_buffer_size(self) -> int:
        return max(0, len(self._data) - self.KERNEL_BYTES)

    def is_closing(self) -> bool:
        return self.is_cut or self._is_ending

    def close(self) -> None:
        self._is_ending = True
        self._go()

    def abort(self) -> None:
        """Drop what was not delivered, and end."""
        self.cut()

    # -- what happens on the way

    def pause(self, *, is_paused: bool) -> None:
        self._is_paused = is_paused
        self._go()

    def _go(self) -> None:
        if self._timer is None and not self._is_paused and not self.is_cut:
            delay = self.net.random.random() * self._delay
            self._timer = self.net.loop.call_later(delay, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        if self.is_cut or self._is_paused:
            return
        size = self.net.random.randint(1, len(self._data)) if self._data else 0
        if self.net.random.random() < 0.7:
            size = len(self._data)
        piece = bytes(self._data[:size])
        del self._data[:size]
        if piece:
            self.inbound.data_received(piece)
        if self._is_full and len(self._data) <= self.KERNEL_BYTES and not self.is_cut:
            self._is_full = False
            self.outbound.resume_writing()
        if self._data:
            self._go()
        elif self._is_ending:
            self.cut()

    def cut(self) -> None:
        """End both sides now; what is on the way is lost."""
        if not self.is_cut:
            self.is_cut = True
            self.net.pipes.remove(self)
            self.net.loop.call_soon(self.inbound.connection_lost, None)
            self.net.loop.call_soon(self.outbound.connection_lost, None)

    def writer_died(self) -> None:
        """End behind what the kernel has."""
        del self._data[self.KERNEL_BYTES :]
        self._is_ending = True
        self._go()


class Reader:
    """The transport of the accepted end."""

    def __init__(self, pipe: Pipe, pid: int) -> None:
        self._pipe = pipe
        self._socket = PeerSocket(pid)

    def get_extra_info(self, name: str) -> PeerSocket:
        assert name == "socket"
        return self._socket

    def pause_reading(self) -> None:
        self._pipe.pause(is_paused=True)

    def resume_reading(self) -> None:
        self._pipe.pause(is_paused=False)

    def abort(self) -> None:
        self._pipe.cut()


class SimDialer:
    """Dials for one mesh (dialer.Dialer)."""

    def __init__(self, net: "Net", mesh: Mesh) -> None:
        self._net = net
        self._mesh = mesh

    def start(self, link: OutboundLink, pid: int) -> None:
        delay = link.backoff + self._net.random.random() * 0.01
        self._net.loop.call_later(delay, self._dial, link, self._net.loop.time())

    def stop(self, link: OutboundLink) -> None: ...

    def tasks(self) -> list[asyncio.Task[None]]:
        return []

    def _dial(self, link: OutboundLink, since: float) -> None:
        own, peer = self._mesh.identity.incarnation, link.incarnation
        if link.is_down or own not in self._net.meshes:
            return
        mesh = self._net.meshes.get(peer)
        if mesh is not None:
            self._net.connect(self._mesh, link, mesh)
        elif self._net.loop.time() - since > 3.0:
            link.give_up()
        else:
            self._net.loop.call_later(0.05, self._dial, link, since)


class SimSocket:
    """Listens by being in the net (mesh_socket.MeshSocket)."""

    async def start(self) -> None: ...
    def watch(self) -> None: ...
    def close(self) -> None: ...


class Net:
    """All processes that live, by their incarnations, and the links between them."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.meshes: dict[int, Mesh] = {}
        self.pipes: list[Pipe] = []

    def add(self, mesh: Mesh) -> None:
        mesh._dialer = cast(Any, SimDialer(self, mesh))
        mesh._socket = cast(Any, SimSocket())
        self.meshes[mesh.identity.incarnation] = mesh

    def connect(self, dialing: Mesh, link: OutboundLink, mesh: Mesh) -> None:
        inbound = mesh._accept()
        pipe = Pipe(self, link, inbound, dialing.identity.pid)
        self.pipes.append(pipe)
        inbound.connection_made(cast(asyncio.Transport, pipe.reader))
        link.connection_made(cast(asyncio.Transport, pipe))

    def kill(self, mesh: Mesh) -> None:
        """End a process at once: what it had written still arrives."""
        del self.meshes[mesh.identity.incarnation]
        mesh._is_closing = True  # its objects do nothing any more
        if mesh._ticker is not None:
            mesh._ticker.cancel()
        for pipe in list(self.pipes):
            if pipe.outbound in mesh.links.values():
                pipe.writer_died()
            elif pipe.inbound in [*mesh.inbounds.values(), *mesh._waiting]:
                pipe.cut()
