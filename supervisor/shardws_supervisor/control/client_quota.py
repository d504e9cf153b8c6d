"""The client limit of the control socket: who is accepted, and who is dropped for a newcomer.

There are MOST_CLIENTS ORDINARY places for anyone. When all are taken, a newcomer gets a RESERVED
one: it may query and operate, but not push, so that backends cannot lock out the operator. A CHILD
place is for the server's own children (the admin child), recognised by the pid that the kernel
reports. Among RESERVED and CHILD places the client idle for longest is dropped for the next one.
"""

import enum
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol, TypeVar

from shardws.control.endpoint import MOST_CLIENTS
from shardws.log import logger

RESERVED_CLIENTS: Final = 8  # each for an operator's command, or for `top`
CHILD_CLIENTS: Final = 4  # the admin child has two connections
# Below MOST_CLIENTS, so that a number of clients around the limit does not fill the log.
ROOM_AGAIN: Final = MOST_CLIENTS * 7 // 8

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
    """A client, as far as the quota needs it."""

    kind: ClientKind
    last: float  # when it last sent something

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
        if pid and pid in self._family():  # 0: in another pid namespace
            return ClientKind.CHILD
        if _count(clients, ClientKind.ORDINARY) < MOST_CLIENTS:
            return ClientKind.ORDINARY
        if not self._is_told:
            self._is_told = True
            what = "%d control clients are connected: new ones can query and operate, but not push"
            log.warning(what, MOST_CLIENTS)
        return ClientKind.RESERVED

    def is_taken(self, kind: ClientKind, clients: Iterable[Client]) -> bool:
        """Tell whether all places of a kind are taken."""
        return _count(clients, kind) >= BOUNDS[kind]

    def left(self, clients: Collection[Client]) -> None:
        """A client has left: the one longest in a reserved place gets an ordinary one."""
        ordinary = _count(clients, ClientKind.ORDINARY)
        waiting = [client for client in clients if client.kind is ClientKind.RESERVED]
        if waiting and ordinary < MOST_CLIENTS:
            min(waiting, key=lambda client: client.last).kind = ClientKind.ORDINARY
        elif self._is_told and ordinary <= ROOM_AGAIN:
            self._is_told = False
            log.info("the control socket accepts all clients again")


def idlest(kind: ClientKind, clients: Iterable[G]) -> G | None:
    """Return the client of that kind that has been idle for longest, None when all are busy."""
    idle = [client for client in clients if client.kind is kind and client.is_idle]
    return min(idle, key=lambda client: client.last, default=None)


def _count(clients: Iterable[Client], kind: ClientKind) -> int:
    return sum(client.kind is kind for client in clients)
