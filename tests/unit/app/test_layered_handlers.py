"""layered_handlers: the shard calls the layer's, the application sees its own."""

from typing import Any

from shardws import WebSocketServer
from shardws.app.layered_handlers import LayeredHandlers


def layer(e: Any) -> None:
    """What the layer has in front."""


def own(e: Any) -> None:
    """What the application sets."""


def test_the_application_s_handlers_are_kept_behind_the_layer_s() -> None:
    server = WebSocketServer()
    server.on_connected = own
    server.on_error = own
    server.handlers = LayeredHandlers(server.handlers, {"on_connected": layer, "on_data_in": layer})
    handlers = server.handlers
    assert (handlers.on_connected, handlers.on_data_in, handlers.on_error) == (layer, layer, own)
    assert (server.on_connected, server.on_data_in, server.on_error) == (own, None, own)
    server.on_data_in = own
    server.on_error = None
    server.on_log = own
    assert (handlers.on_data_in, handlers.on_error, handlers.on_log) == (layer, None, own)
    assert (server.on_data_in, server.on_error, server.on_log) == (own, None, own)
