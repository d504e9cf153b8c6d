"""`App`: routes, one coroutine for each client, start and stop, periodic work.

A thin layer over WebSocketServer, which stays whole (`app.server`).
"""

from shardws.app.app import App
from shardws.app.refusal import Refuse
from shardws.app.request import Query
from shardws.app.websocket import WebSocket

__all__ = ["App", "Query", "Refuse", "WebSocket"]
