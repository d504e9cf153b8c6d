"""shardws: one port, all cores, and any process can send to any connection, without a broker."""

from shardws.app import App, Query, Refuse, WebSocket
from shardws.errors import NoSuchConnection, SendInterrupted, ShardwsError
from shardws.events import (
    Connected,
    ConnectionRequest,
    DataIn,
    Disconnected,
    Error,
    Log,
    ReadyToSend,
    Resumed,
    SSLClientAuthentication,
    SSLConnectionRequest,
    SSLStatus,
    Start,
    Stop,
    WebSocketOpenRequest,
)
from shardws.headers import Headers
from shardws.outcomes import Outcome, SendOutcome
from shardws.server import WebSocketServer
from shardws.shard.snapshot import ConnectionSnapshot
from shardws.shard.view import ConnectionView

__all__ = [
    "App",
    "Connected",
    "ConnectionRequest",
    "ConnectionSnapshot",
    "ConnectionView",
    "DataIn",
    "Disconnected",
    "Error",
    "Headers",
    "Log",
    "NoSuchConnection",
    "Outcome",
    "Query",
    "ReadyToSend",
    "Refuse",
    "Resumed",
    "SSLClientAuthentication",
    "SSLConnectionRequest",
    "SSLStatus",
    "SendInterrupted",
    "SendOutcome",
    "ShardwsError",
    "Start",
    "Stop",
    "WebSocket",
    "WebSocketOpenRequest",
    "WebSocketServer",
]
