"""One client of the control socket: its connection, its identity and its pending requests.

Owns the buffers and the pid and uid that the kernel reports (SO_PEERCRED).
"""

import selectors
import socket
import struct
from collections import deque
from typing import Final

from shardws_supervisor.control.client_quota import ClientKind
from shardws_supervisor.shards.replies import Pending

_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the process that connected, as reported by the kernel."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


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

    @property
    def is_idle(self) -> bool:
        """Whether no request is pending and nothing from it waits to be read."""
        if self.is_busy or self.waiting or self.unsent:
            return False
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except OSError:  # BlockingIOError, or an end of stream not read yet
            return True
