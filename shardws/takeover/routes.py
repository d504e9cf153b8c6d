"""What a takeover asks of routing: where a connection is to be found while it moves.

Owns the questions, and an implementation for a process that has no peers to keep an order with.
"""

from typing import Protocol

from shardws.interfaces import Recipient
from shardws.routing.router import Router


class Departures(Protocol):
    """What stands for connections that leave."""

    def depart(self, connection: Recipient, successor: int, /) -> None:
        """Take what comes for a connection from now on; `successor` is an incarnation.

        The connection is in no group afterwards. StateError when that process cannot be reached.
        """

    def confirm(self, connection_id: int, /) -> None:
        """The successor has it: pass on what came, and what will come."""

    def take_back(self, connection: Recipient, /) -> None:
        """The successor does not have it: put it back, with its groups and what came for it."""


class Arrivals(Protocol):
    """Where connections that come are entered."""

    def enter(self, connection: Recipient, home: int, /) -> None:
        """Enter a connection and the groups that it names; `home` is the incarnation it comes from.

        ValueError when its id is taken; StateError when none may come from there.
        """


class LocalRoutes:
    """Both, for a shard without peers: what is sent to a connection on its way is GONE."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._groups: dict[int, set[str]] = {}

    def depart(self, connection: Recipient, successor: int) -> None:
        self._groups[connection.id] = set(connection.groups or ())
        self._router.remove(connection)

    def confirm(self, connection_id: int) -> None:
        self._groups.pop(connection_id, None)

    def take_back(self, connection: Recipient) -> None:
        self._enter(connection, self._groups.pop(connection.id, set()))

    def enter(self, connection: Recipient, home: int) -> None:
        groups, connection.groups = connection.groups, None
        self._enter(connection, groups or set())

    def _enter(self, connection: Recipient, groups: set[str]) -> None:
        self._router.registry.add(connection)
        for group in groups:
            self._router.join(connection.id, group)
