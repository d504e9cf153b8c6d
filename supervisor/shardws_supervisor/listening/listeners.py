"""The listening sockets: one per slot, bound by the supervisor and kept for its whole process.

Owns binding; never listens or accepts: a shard calls `listen` on the socket it inherits, so before
the first shard is ready a connect is refused, and from then on the socket listens on through every
death and respawn, because the supervisor keeps it open (measured in DESIGN 1: 40 of 40 waiting
connections survive a kill -9, against 20 of 40 lost with a socket of the shard's own).

SO_REUSEPORT lets every process of the same user join a port, so a port in use would not be noticed.
Therefore the port is first bound once without it. That notices who listens, but not who is about
to: for them there is a lock (shardws.net.portlock), held as long as the port and by the supervisor
alone, so that it falls with it. A socket that was passed in has none: the port is somebody else's.
"""

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from shardws.errors import StartError, code_of_errno
from shardws.log import logger
from shardws.net import portlock

IPV4, IPV6, BOTH = 0, 1, 2  # the setting UseIPv6

log = logger("supervisor.listeners")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a resolved address."""

    family: int
    host: str
    port: int
    is_dual: bool = False  # an IPv6 socket that takes IPv4 too

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def resolve(host: str, port: int, use_ipv6: int) -> Address:
    """Resolve LocalHost ("" is every interface); StartError when it is no address."""
    if not host:
        if use_ipv6 == IPV4:
            return Address(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - the default of the model
        return Address(socket.AF_INET6, "::", port, is_dual=use_ipv6 == BOTH)
    family = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6, BOTH: socket.AF_UNSPEC}[use_ipv6]
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    except OSError as error:
        kind = "IPv6 " if use_ipv6 == IPV6 else ""
        raise StartError(
            f"cannot listen on {host}:{port}: LocalHost {host!r} is no {kind}name or address"
            f" of this host ({error.strerror or error})",
            code=10049,
        ) from None
    chosen, _, _, _, address = found[0]
    return Address(chosen, str(address[0]), port)


def bind(address: Address, *, is_shared: bool) -> socket.socket:
    """Return a bound socket that does not listen; StartError names address and reason."""
    sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.is_dual else 1)
        sock.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise _explained(address, error) from None
    return sock


def listen(sock: socket.socket, backlog: int) -> None:
    """Listen; StartError when somebody else does since the socket was bound."""
    try:
        sock.listen(backlog)
    except OSError as error:
        raise _explained(address_of(sock), error) from None


def claim(address: Address) -> tuple[socket.socket, socket.socket]:
    """Return a bound socket that nobody can join, and the port's lock; StartError as of both."""
    with ExitStack() as taken:
        lock = taken.enter_context(portlock.take(str(address))) if address.port else None
        sock = taken.enter_context(bind(address, is_shared=False))
        if lock is None:
            lock = taken.enter_context(portlock.take(str(settled(address, sock))))
        taken.pop_all()
    return sock, lock


def address_of(sock: socket.socket) -> Address:
    """Return where a socket is bound."""
    host, port = sock.getsockname()[:2]
    is_dual = sock.family == socket.AF_INET6 and not sock.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    )
    return Address(sock.family, host, port, is_dual)


def settled(address: Address, sock: socket.socket) -> Address:
    """Return the address with the port that the system picked for 0."""
    return address if address.port else replace(address, port=int(sock.getsockname()[1]))


def _explained(address: Address, error: OSError | OverflowError) -> StartError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        reason = "the address is in use"
    elif number in (errno.EACCES, errno.EPERM):
        reason = "permission denied"
        if address.port < 1024:
            reason += " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    elif number == errno.EADDRNOTAVAIL:
        reason = "the address is not one of this host"
    else:
        reason = str(error)
    return StartError(f"cannot listen on {address}: {reason}", code=code_of_errno(number))


class Listening(Protocol):
    """What the shards need of either way to listen."""

    address: Address

    def add(self, slot: int) -> socket.socket | None: ...
    def remove(self, slot: int) -> None: ...
    def renew(self, slot: int) -> None: ...
    def are_listening(self) -> bool: ...
    def others(self, slot: int) -> list[socket.socket]: ...
    def close(self) -> None: ...


class Listeners:
    """AcceptMode reuseport: one bound socket per slot, all on one address."""

    def __init__(self, address: Address, *, is_exclusive: bool) -> None:
        """Prove that the port is free, when it is to be exclusive."""
        self.address = address
        self._sockets: dict[int, socket.socket] = {}
        self._is_exclusive = is_exclusive
        self._lock: socket.socket | None = None
        if is_exclusive and address.port:
            sock, self._lock = claim(address)
            sock.close()

    def add(self, slot: int) -> socket.socket:
        """Bind the socket of a slot; the first one settles a LocalPort of 0."""
        sock = self._sockets.get(slot)
        if sock is None:
            sock = self._sockets[slot] = bind(self.address, is_shared=True)
            self.address = settled(self.address, sock)
            if self._is_exclusive and self._lock is None:
                self._lock = portlock.take(str(self.address))
        return sock

    def remove(self, slot: int) -> None:
        """Close the socket of a slot that is given up."""
        sock = self._sockets.pop(slot, None)
        if sock:
            sock.close()

    def renew(self, slot: int) -> None:
        """Send clients of a slot whose shard is dead elsewhere: reset those who wait, take no more.

        The kernel gives no client to a socket that is bound and does not listen.
        """
        old = self._sockets.get(slot)
        if old is None:
            return
        try:
            self._sockets[slot] = bind(self.address, is_shared=True)
        except StartError as error:  # the address has left this host, for instance
            log.warning("slot %d keeps its socket, where clients may wait: %s", slot, error)
            return
        old.close()

    def are_listening(self) -> bool:
        """Tell whether a shard has called `listen` on each."""
        return all(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            for sock in self._sockets.values()
        )

    def others(self, slot: int) -> list[socket.socket]:
        """Return the sockets a shard of that slot has to let go of."""
        locks = [] if self._lock is None else [self._lock]
        return locks + [sock for index, sock in self._sockets.items() if index != slot]

    def close(self) -> None:
        """Close them all: from now on connects are refused once the shards have closed theirs."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        if self._lock is not None:
            self._lock.close()


class OneListener:
    """AcceptMode handoff: one socket that nobody can join, for the acceptor; shards have none."""

    def __init__(self, address: Address, passed: socket.socket | None = None) -> None:
        """Bind it, unless one was passed in; StartError when the port is not free."""
        self._lock: socket.socket | None = None
        if passed is not None:
            self.sock, self.address = passed, address_of(passed)
        else:
            self.sock, self._lock = claim(address)
            self.address = settled(address, self.sock)

    def add(self, slot: int) -> None:
        """Nothing: the slot's connections are handed to it."""

    def remove(self, slot: int) -> None:
        """Nothing, too."""

    def renew(self, slot: int) -> None:
        """Nothing: the acceptor hands over to living shards only."""

    def are_listening(self) -> bool:
        """Tell whether the acceptor has called `listen`."""
        return bool(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def others(self, slot: int) -> list[socket.socket]:
        """Return what a shard has to let go of."""
        return [self.sock] if self._lock is None else [self._lock, self.sock]

    def close(self) -> None:
        self.sock.close()
        if self._lock is not None:
            self._lock.close()
