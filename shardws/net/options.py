"""Socket options of accepted connections.

Owns their names in the kernel. Options left to the system are not set.
"""

import socket
from typing import NamedTuple, Protocol


class Configurable(Protocol):
    """A socket, or uvloop's substitute for one."""

    def setsockopt(self, level: int, name: int, value: int, /) -> None: ...


class SocketOptions(NamedTuple):
    """Options of one connection; 0 leaves an option to the system."""

    no_delay: bool = True  # uvloop's own default
    receive_buffer: int = 0  # bytes; Linux doubles it
    send_buffer: int = 0  # bytes
    idle_time: int = 0  # seconds before TCP probes the peer
    probe_interval: int = 0  # seconds
    probe_count: int = 0

    def apply(self, sock: Configurable) -> None:
        """Set them."""
        put = sock.setsockopt
        if not self.no_delay:
            put(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        for name, value in (
            (socket.SO_RCVBUF, self.receive_buffer),
            (socket.SO_SNDBUF, self.send_buffer),
        ):
            if value:
                put(socket.SOL_SOCKET, name, value)
        probes = (
            (socket.TCP_KEEPIDLE, self.idle_time),
            (socket.TCP_KEEPINTVL, self.probe_interval),
            (socket.TCP_KEEPCNT, self.probe_count),
        )
        if any(value for _, value in probes):
            put(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in probes:
            if value:
                put(socket.IPPROTO_TCP, name, value)


UNTOUCHED = SocketOptions()
