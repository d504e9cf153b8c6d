"""Handlers of a layer above the server, in front of those that the application sets itself.

The shard calls the layer's; `server.on_<event>` reads and sets the application's own, which the
layer calls for connections that are not its own.
"""

from shardws.events import Handler, Handlers


class LayeredHandlers(Handlers):
    """What the shard calls; `own` has what the application has set."""

    __slots__ = ("_layer", "own")

    keeps_clients = True

    def __init__(self, own: Handlers, layer: dict[str, Handler]) -> None:
        self.own = own
        self._layer = frozenset(layer)
        for name in Handlers.__slots__:
            setattr(self, name, layer.get(name, getattr(own, name)))

    def given(self, name: str) -> Handler | None:
        return self.own.given(name)

    def take(self, name: str, handler: Handler | None) -> None:
        self.own.take(name, handler)
        if name not in self._layer:
            setattr(self, name, handler)
