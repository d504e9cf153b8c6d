"""One client of the control socket: its connection, its identity and its pending requests.

Owns the buffers and the pid and uid that the kernel reports (SO_PEERCRED).
"""

import selectors
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Final, Self

from shardws.net import sockets
from shardws_supervisor.control.client_quota import ClientKind
from shardws_supervisor.shards.replies import Pending
from shardws_supervisor.system.kept import Descriptor

_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the process that connected, as reported by the kernel."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


@dataclass(frozen=True, slots=True)
class KeptClient:
    """A client, kept over an exec; one without pending requests."""

    sock: Descriptor
    kind: ClientKind
    pid: int
    uid: int
    last: float
    received: bytes
    unsent: bytes


class Client:
    """One connection of an operator's program."""

    __slots__ = (
        "events",
        "is_busy",
        "kind",
        "last",
        "pid",
        "received",
        "sock",
        "uid",
        "unsent",
        "waiting",
    )

    def __init__(
        self, sock: socket.socket, kind: ClientKind, peer: tuple[int, int], now: float
    ) -> None:
        self.sock = sock
        self.kind = kind
        self.pid, self.uid = peer
        self.last = now
        self.received = bytearray()
        self.unsent = bytearray()
        self.waiting: deque[Pending] = deque()  # in the order of the requests
        self.is_busy = False  # its requests are being processed further up the call stack
        self.events = selectors.EVENT_READ

    def keep(self) -> KeptClient:
        """Return what `adopt` needs."""
        buffers = bytes(self.received), bytes(self.unsent)
        sock = Descriptor(self.sock.fileno())
        return KeptClient(sock, self.kind, self.pid, self.uid, self.last, *buffers)

    @classmethod
    def adopt(cls, kept: KeptClient) -> Self:
        """Return a client that this process had before an exec."""
        peer = kept.pid, kept.uid
        adopted = cls(sockets.adopted(kept.sock), kept.kind, peer, kept.last)
        adopted.received += kept.received
        adopted.unsent += kept.unsent
        return adopted

    @property
    def is_idle(self) -> bool:
        """Whether no request is pending and nothing from it waits to be read."""
        if self.is_busy or self.waiting or self.unsent:
            return False
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except OSError:  # BlockingIOError, or an end of stream not read yet
            return True
