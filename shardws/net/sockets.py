"""Listening sockets: names to addresses, addresses to bound sockets.

Owns binding and its error texts; never accepts. SO_REUSEPORT lets every process of the same user
join a port, so a port in use would not be noticed. For exclusive use the port is therefore bound
once without it. That detects a process that listens, but not one that is about to: for this there
is a lock (portlock), held as long as the port. A supervisor's lock is held by itself alone, so that
it is released when the supervisor dies. A socket that was passed in has no lock: its port belongs
to whoever passed it.
"""

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass, replace

from shardws.errors import StartError, code_of_errno
from shardws.net import portlock

IPV4, IPV6, BOTH = 0, 1, 2  # the setting UseIPv6
ANY_IPV6 = "::"


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
    """Resolve LocalHost ("" is every interface); StartError when it is unusable or ambiguous.

    There is one socket, so a name with addresses of both families is refused where both are wanted;
    of several addresses of one family the first is used.
    """
    if not host:
        if use_ipv6 == IPV4:
            return Address(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - the default
        return Address(socket.AF_INET6, ANY_IPV6, port, is_dual=use_ipv6 == BOTH)
    found = _addresses(host, port, use_ipv6)
    if len({family for family, _ in found}) > 1:
        shown = ", ".join(address for _, address in found)
        raise StartError(
            f"cannot listen on {host}:{port}: LocalHost {host!r} has IPv4 and IPv6 addresses"
            f" ({shown}), and UseIPv6 is {use_ipv6}: leave LocalHost empty, or name one of them",
            code=10049,
        )
    family, address = found[0]
    return Address(family, address, port, is_dual=use_ipv6 == BOTH and address == ANY_IPV6)


def _addresses(host: str, port: int, use_ipv6: int) -> list[tuple[int, str]]:
    """Return (family, address) of each address of a name in the wanted family; StartError."""
    family = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6, BOTH: socket.AF_UNSPEC}[use_ipv6]
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        kind = "IPv6 " if use_ipv6 == IPV6 else ""
        reason = getattr(error, "strerror", None) or error
        raise StartError(
            f"cannot listen on {host}:{port}: LocalHost {host!r} is no {kind}name or address"
            f" of this host ({reason})",
            code=10049,
        ) from None
    return list(dict.fromkeys((chosen, str(address[0])) for chosen, _, _, _, address in found))


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
    """Listen; StartError when another process has started to since the socket was bound."""
    try:
        sock.listen(backlog)
    except OSError as error:
        raise _explained(address_of(sock), error) from None


def claim(address: Address) -> tuple[socket.socket, socket.socket]:
    """Return a bound socket that no process can join, and the port's lock; StartError."""
    with ExitStack() as taken:
        lock = taken.enter_context(portlock.take(str(address))) if address.port else None
        sock = taken.enter_context(bind(address, is_shared=False))
        if lock is None:
            lock = taken.enter_context(portlock.take(str(settled(address, sock))))
        taken.pop_all()
    return sock, lock


@dataclass(frozen=True, slots=True)
class Port:
    """A bound port: its socket, and its lock if it is exclusive."""

    sock: socket.socket
    lock: socket.socket | None = None

    def listen(self, backlog: int) -> None:
        """Listen; StartError, and the port is released, when another process has started to."""
        try:
            listen(self.sock, backlog)
        except StartError:
            self.close()
            raise

    def close(self) -> None:
        """Release the port."""
        self.sock.close()
        if self.lock is not None:
            self.lock.close()


def open_port(address: Address, *, is_shared: bool) -> Port:
    """Return a bound port that is not listened on yet; StartError says why that failed."""
    return Port(bind(address, is_shared=True)) if is_shared else Port(*claim(address))


def address_of(sock: socket.socket) -> Address:
    """Return where a socket is bound."""
    host, port = sock.getsockname()[:2]
    is_dual = sock.family == socket.AF_INET6 and not sock.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    )
    return Address(sock.family, host, port, is_dual)


def adopted(file: int) -> socket.socket:
    """Return the non-blocking socket of a descriptor that an exec has kept."""
    sock = socket.socket(fileno=file)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


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
