"""A listening socket that was passed in: socket activation, sd_listen_fds(3).

Owns the taking of it and the sharing between slots; never accepts. All shards accept on the one
socket, which somebody else keeps open: a connect waits in its queue while the whole server is
restarted, and none is refused. The price is that the kernel spreads connections less evenly than
over one socket per slot (DESIGN 1: 235/319/27/19 of 600, against 139/163/125/173).
"""

import socket
from collections.abc import MutableMapping
from typing import Final

from shardws.errors import StartError
from shardws_supervisor.listening.listeners import address_of

FIRST: Final = 3  # SD_LISTEN_FDS_START
VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class PassedListener:
    """The one socket for every slot (listeners.Listening)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.address = address_of(sock)

    def add(self, slot: int) -> socket.socket:
        """Return the socket."""
        return self.sock

    def remove(self, slot: int) -> None:
        """Leave it: the other slots accept on it."""

    def renew(self, slot: int) -> None:
        """Leave it, too: nobody waits at a slot of his own."""

    def others(self, slot: int) -> list[socket.socket]:
        """Return what a child has to let go of: a shard nothing, others (slot -1) the socket."""
        return [self.sock] if slot < 0 else []

    def are_listening(self) -> bool:
        """Tell whether it listens: it does before the first shard, when it was passed so."""
        return bool(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def close(self) -> None:
        """Close our copy; whoever passed it may keep the port open for the next server."""
        self.sock.close()


def take(environment: MutableMapping[str, str], pid: int) -> socket.socket | None:
    """Return the socket that was passed to process `pid`, None when there is none.

    The variables are taken out of the environment: a program that the application starts must not
    believe that they are meant for it. StartError for anything but one TCP socket.
    """
    owner, number, _ = (environment.pop(name, "") for name in VARIABLES)
    if owner != str(pid) or not number.isdecimal() or number == "0":
        return None
    if number != "1":
        raise StartError(f"{number} sockets were passed; one is needed, with one ListenStream=")
    try:
        sock = socket.socket(fileno=FIRST)
        is_stream = sock.type == socket.SOCK_STREAM
    except OSError as error:
        raise StartError(f"descriptor {FIRST} is no socket: {error.strerror}") from None
    if not is_stream or sock.family not in (socket.AF_INET, socket.AF_INET6):
        sock.detach()
        raise StartError("the socket that was passed is no TCP socket (ListenStream=PORT)")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock
