"""Other programs of the host: send to the connections of a server that runs, and operate it.

`connect()` returns an asyncio client (`client`); `connection` is its end of the control socket,
`endpoint` where that socket lies and what bounds both sides of it.
"""

from shardws.control.client import Client, ConnectionList, connect
from shardws.errors import ControlError, Refused

__all__ = ["Client", "ConnectionList", "ControlError", "Refused", "connect"]
