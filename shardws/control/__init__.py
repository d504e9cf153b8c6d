"""Other programs of the host: send to the connections of a server that runs, and operate it.

    codec       the lines on the socket, sans-IO          failures    what is said when it fails
    commands    one row per method of the clients         location    which server, and whose it is
    client      for asyncio (exchange, connection)        blocking    for scripts and threads
    endpoint    where the socket lies, and the bounds of both sides

`connect()` returns an asyncio client, `connect_blocking()` one with the same methods that blocks.
The asyncio face is imported when it is first used: a supervisor and a script need no event loop.
"""

from typing import TYPE_CHECKING, Any

from shardws.control.blocking import BlockingClient, connect_blocking
from shardws.control.commands import ConnectionList
from shardws.errors import ControlError, Refused

if TYPE_CHECKING:
    from shardws.control.client import Client, connect

__all__ = [
    "BlockingClient",
    "Client",
    "ConnectionList",
    "ControlError",
    "Refused",
    "connect",
    "connect_blocking",
]


def __getattr__(name: str) -> Any:
    if name not in ("Client", "connect"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from shardws.control import client

    return getattr(client, name)
