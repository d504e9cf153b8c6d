"""The end of a TCP connection, for every process that holds a copy of its socket.

Owns shutdown(2). Closing a descriptor sends FIN only when it is the last one: a process that was
forked meanwhile, perhaps by a C library, would keep the client waiting for as long as it lives.
"""

import contextlib
import socket
from typing import Any, Protocol


class HasSocket(Protocol):
    """A transport whose descriptor is still open: until its connection_lost has returned."""

    def get_extra_info(self, name: str, default: Any, /) -> Any: ...


def shut_down(transport: HasSocket) -> None:
    """Shut down both directions; data already in the kernel is still sent."""
    shown = transport.get_extra_info("socket", None)
    if shown is None or shown.fileno() < 0:
        return
    # uvloop's socket object lacks the method: this one borrows its descriptor.
    sock = socket.socket(shown.family, shown.type, shown.proto, fileno=shown.fileno())
    try:
        with contextlib.suppress(OSError):  # the client has ended it
            sock.shutdown(socket.SHUT_RDWR)
    finally:
        sock.detach()
