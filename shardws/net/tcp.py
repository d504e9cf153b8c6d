"""What the kernel knows of a TCP connection: how much is under way, how much has arrived.

Owns the two calls of Linux for that; where they fail, nothing is known, which is 0.
"""

import fcntl
import socket
import struct
import termios
from typing import Any, Final, Protocol

_INT: Final = struct.Struct("i")
_BYTES_ACKED: Final = struct.Struct("120xQ")  # struct tcp_info since Linux 4.1


class HasSocketInfo(Protocol):
    """A transport, or the wire that is its own."""

    def get_extra_info(self, name: str, /) -> Any:
        """Return what goes by a name, such as "socket"; None when it is not known."""


def unacknowledged(transport: HasSocketInfo) -> int:
    """Return the bytes in the kernel's queue that the peer's kernel has not confirmed."""
    try:
        found = fcntl.ioctl(_number(transport), termios.TIOCOUTQ, bytes(_INT.size))
    except (OSError, ValueError):
        return 0
    return int(_INT.unpack(found)[0])


def acknowledged(transport: HasSocketInfo) -> int:
    """Return the bytes that the peer's kernel has confirmed since the connection began."""
    sock = transport.get_extra_info("socket")
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        return int(_BYTES_ACKED.unpack(info)[0])
    except (AttributeError, OSError, struct.error):
        return 0


def _number(transport: HasSocketInfo) -> int:
    """Return the descriptor, -1 when there is none."""
    sock = transport.get_extra_info("socket")
    return -1 if sock is None else int(sock.fileno())
