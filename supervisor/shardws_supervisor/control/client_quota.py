"""The places at the control socket: who may have one, and who gives way.

Owns the kinds of places and their bounds; knows no request and no command. An ORDINARY place is for
whoever comes, MOST_CLIENTS of them. When all are taken, a newcomer gets a RESERVED one: it may look
and steer, but not push, so that backends cannot lock the operator out. A CHILD place is for the
server's own children (the admin child), known by the pid that the kernel names. Of RESERVED and
CHILD places the client that has been silent for longest gives way to the next one.
"""

import enum
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol, TypeVar

from shardws.control.endpoint import MOST_CLIENTS
from shardws.log import logger

RESERVED_CLIENTS: Final = 8  # each for a person with a command, or for `top`
CHILD_CLIENTS: Final = 4  # the admin child has two connections
ROOM_AGAIN: Final = MOST_CLIENTS * 7 // 8  # said then: a table at its bound must not fill the log

log = logger("supervisor.control")


class ClientKind(enum.Enum):
    """What kind of place a client has."""

    ORDINARY = "ordinary"
    RESERVED = "spare"
    CHILD = "family"


BOUNDS: Final = {
    ClientKind.ORDINARY: MOST_CLIENTS,
    ClientKind.RESERVED: RESERVED_CLIENTS,
    ClientKind.CHILD: CHILD_CLIENTS,
}


class Client(Protocol):
    """A client, as far as its place goes."""

    kind: ClientKind
    last: float  # when it was heard of

    @property
    def is_idle(self) -> bool: ...


G = TypeVar("G", bound=Client)


class ClientQuota:
    """The places of one control socket; `family` returns the pids of the server's children."""

    def __init__(self, family: Callable[[], Collection[int]]) -> None:
        self._family = family
        self._is_told = False

    def kind_for(self, pid: int, clients: Iterable[Client]) -> ClientKind:
        """Return the kind of place for a newcomer."""
        if pid and pid in self._family():  # 0: in another namespace of pids
            return ClientKind.CHILD
        if _count(clients, ClientKind.ORDINARY) < MOST_CLIENTS:
            return ClientKind.ORDINARY
        if not self._is_told:
            self._is_told = True
            what = "%d control clients are served: newcomers can look and steer, but not push"
            log.warning(what, MOST_CLIENTS)
        return ClientKind.RESERVED

    def is_taken(self, kind: ClientKind, clients: Iterable[Client]) -> bool:
        """Tell whether all places of a kind are taken."""
        return _count(clients, kind) >= BOUNDS[kind]

    def left(self, clients: Collection[Client]) -> None:
        """A client has left: who has waited longest in a spare place gets an ordinary one."""
        ordinary = _count(clients, ClientKind.ORDINARY)
        waiting = [client for client in clients if client.kind is ClientKind.RESERVED]
        if waiting and ordinary < MOST_CLIENTS:
            min(waiting, key=lambda client: client.last).kind = ClientKind.ORDINARY
        elif self._is_told and ordinary <= ROOM_AGAIN:
            self._is_told = False
            log.info("the control socket has room for every client again")


def idlest(kind: ClientKind, clients: Iterable[G]) -> G | None:
    """Return the client of that kind that has been silent for longest with nothing under way."""
    idle = [client for client in clients if client.kind is kind and client.is_idle]
    return min(idle, key=lambda client: client.last, default=None)


def _count(clients: Iterable[Client], kind: ClientKind) -> int:
    return sum(client.kind is kind for client in clients)
