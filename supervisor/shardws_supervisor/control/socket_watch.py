"""Restores the run directory and the control socket when their files are removed.

Owns when they are checked and the log lines. The shards look after their own sockets
(shardws.routing.mesh_socket); they need the directory, which is restored here.
"""

from typing import Final, Protocol

from shardws.errors import StartError
from shardws.log import logger

PERIOD: Final = 2.0  # seconds

log = logger("supervisor.control")


class Mendable(Protocol):
    """Something on disk that may be removed."""

    def mend(self) -> bool:
        """Restore it; True when something was missing. StartError when it cannot be restored."""


class SocketWatch:
    """See the module docstring; time is an argument."""

    def __init__(self, *mendables: Mendable) -> None:
        """Mended in this order; the first failure ends the attempt."""
        self._mendables = mendables
        self._due = 0.0
        self._told = ""  # the problem that was logged last

    def advance(self, now: float) -> None:
        """Check when it is due."""
        if now < self._due:
            return
        self._due = now + PERIOD
        try:
            mended = [one.mend() for one in self._mendables]
        except StartError as error:
            if error.description != self._told:
                self._told = error.description
                log.error("operators cannot reach this server: %s", error.description)
            return
        self._told = ""
        if any(mended):
            log.warning("files of the run directory had been removed: restored")
