"""shardws: one port, all cores, and any process can send to any connection, without a broker."""

from shardws.errors import ShardwsError
from shardws.events import (
    Connected,
    ConnectionRequest,
    DataIn,
    Disconnected,
    Error,
    Log,
    ReadyToSend,
    SSLClientAuthentication,
    SSLConnectionRequest,
    SSLStatus,
    WebSocketOpenRequest,
)
from shardws.outcomes import Outcome, SendOutcome
from shardws.server import WebSocketServer

__all__ = [
    "Connected",
    "ConnectionRequest",
    "DataIn",
    "Disconnected",
    "Error",
    "Log",
    "Outcome",
    "ReadyToSend",
    "SSLClientAuthentication",
    "SSLConnectionRequest",
    "SSLStatus",
    "SendOutcome",
    "ShardwsError",
    "WebSocketOpenRequest",
    "WebSocketServer",
]
