"""A listening socket that was passed in: socket activation, sd_listen_fds(3).

Owns taking the socket and sharing it between slots; never accepts. All shards accept on the one
socket, which the service manager keeps open: a connect waits in its queue while the whole server is
restarted, and none is refused. The price is that the kernel spreads connections less evenly than
over one socket per slot (measured: 235/319/27/19 of 600, against 139/163/125/173).
"""

import socket
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Final

from shardws.errors import StartError
from shardws.net.sockets import address_of
from shardws.shard.connection_source import ConnectionSource, ListeningSocket
from shardws_supervisor.listening.strategy import AcceptStrategy, KeptPort, Kind
from shardws_supervisor.system.kept import Descriptor

FIRST: Final = 3  # SD_LISTEN_FDS_START
VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class PassedSocket(AcceptStrategy):
    """The one socket for every slot."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.address = address_of(sock)

    @contextmanager
    def source(self, slot: int, row: int) -> Iterator[ConnectionSource]:
        """Pass every process the same socket."""
        yield ListeningSocket(self._sock)

    def fds_to_close(self, slot: int | None = None) -> list[socket.socket]:
        """Return nothing for a shard: each has the socket."""
        return [self._sock] if slot is None else []

    def keep(self) -> KeptPort:
        """Return the socket (AcceptStrategy)."""
        return KeptPort(Kind.ACTIVATION, self.address, {0: Descriptor(self._sock.fileno())})

    def are_listening(self) -> bool:
        """Tell whether the socket listens; whoever passed it has usually called `listen`."""
        return bool(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def close(self) -> None:
        """Close our copy; the port itself stays open with whoever passed it."""
        self._sock.close()


def take(environment: MutableMapping[str, str], pid: int) -> socket.socket | None:
    """Return the socket that was passed to process `pid`, None when there is none.

    The variables are removed from the environment, so that a program started by the application
    does not take them as its own. StartError for anything but one TCP socket.
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
        raise StartError(f"descriptor {FIRST} is not a socket: {error.strerror}") from None
    if not is_stream or sock.family not in (socket.AF_INET, socket.AF_INET6):
        sock.detach()
        raise StartError("the socket that was passed is not a TCP socket (ListenStream=PORT)")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock
