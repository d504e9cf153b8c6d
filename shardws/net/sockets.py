"""Listening sockets: names to addresses, addresses to bound sockets.

Owns bind and listen, and their errors in words, for a program that runs one shard by itself; the
supervisor, which binds one socket for each slot, has its own
(shardws_supervisor.listening.listeners).
"""

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from shardws.errors import StartError, code_of_errno
from shardws.net import portlock

IPV4_ONLY = 0
IPV6_ONLY = 1
BOTH = 2

Address = tuple[socket.AddressFamily, tuple[str, int]]


def resolve(host: str, port: int, use_ipv6: int) -> Address:
    """Return the address to bind; "" means all interfaces. StartError when the name has none."""
    family = socket.AF_INET if use_ipv6 == IPV4_ONLY else socket.AF_INET6
    if not host:
        return family, ("::" if family == socket.AF_INET6 else "0.0.0.0", port)  # noqa: S104
    wanted = family if use_ipv6 != BOTH else socket.AF_UNSPEC
    try:
        found = socket.getaddrinfo(host, port, wanted, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        reason = f"cannot resolve LocalHost {host!r}: {error.strerror}"
        raise StartError(reason, code=10049) from error
    first, _, _, _, address = found[0]
    return first, (str(address[0]), int(address[1]))


@dataclass(frozen=True, slots=True)
class Port:
    """A bound port: its socket, and the lock of one that nobody else is to have."""

    sock: socket.socket
    lock: socket.socket | None = None

    def listen(self, backlog: int) -> None:
        """Listen; StartError, and the port is given up, when somebody else does since the bind."""
        try:
            self.sock.listen(backlog)
        except OSError as error:
            explained = _explained(self.sock.getsockname(), error)
            self.close()
            raise explained from error

    def close(self) -> None:
        """Give it up."""
        self.sock.close()
        if self.lock is not None:
            self.lock.close()


def bind(address: Address, use_ipv6: int, *, share: bool) -> Port:
    """Return a bound socket that does not listen yet; StartError says why it cannot.

    `share` sets SO_REUSEPORT, so that further sockets of the same user may join; without it the
    port is locked (portlock), before it is bound when it is known by then.
    """
    _, place = address
    is_locked_first = not share and place[1] != 0
    with ExitStack() as taken:
        lock = taken.enter_context(portlock.take(show(place))) if is_locked_first else None
        sock = taken.enter_context(_bound(address, use_ipv6, share=share))
        if not share and lock is None:
            lock = taken.enter_context(portlock.take(show(sock.getsockname())))
        taken.pop_all()
    return Port(sock, lock)


def _bound(address: Address, use_ipv6: int, *, share: bool) -> socket.socket:
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(use_ipv6 != BOTH))
        sock.setblocking(False)
        sock.bind(place)
    except OSError as error:
        sock.close()
        raise _explained(place, error) from error
    return sock


def _explained(place: Sequence[object], error: OSError) -> StartError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StartError(f"cannot bind {show(place)}: {reason}", code=code_of_errno(error.errno))


def show(place: Sequence[object]) -> str:
    """Return host:port as people write it."""
    host, port = str(place[0]), place[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
