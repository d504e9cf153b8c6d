"""The run directory and the control socket, looked after while the server runs.

Owns when they are looked for and the log lines. The shards look after their own sockets
(shardws.routing.mesh_socket); they need the directory, which is made again here.
"""

from typing import Final, Protocol

from shardws.errors import StartError
from shardws.log import logger

PERIOD: Final = 2.0  # seconds

log = logger("supervisor.control")


class Mendable(Protocol):
    """Something on disk that may be taken away."""

    def mend(self) -> bool:
        """Restore it; True when there was something to do. StartError says why it cannot be."""


class SocketWatch:
    """See the module docstring; time is an argument."""

    def __init__(self, *mendables: Mendable) -> None:
        """Those are mended in this order, and none when one before it cannot be."""
        self._mendables = mendables
        self._due = 0.0
        self._told = ""  # the trouble that is in the log already

    def advance(self, now: float) -> None:
        """Look when it is due."""
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
            log.warning("files of the run directory had been removed: made anew")
