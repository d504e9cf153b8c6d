"""What a shard needs of the object it serves; `shardws.server.WebSocketServer` is one."""

from typing import TYPE_CHECKING, Protocol

from shardws.events import Handlers
from shardws.settings.values import Settings

if TYPE_CHECKING:
    from shardws.shard.shard import Shard


class Application(Protocol):
    """Settings and handlers, and a place to put the shard once it runs."""

    @property
    def settings(self) -> Settings: ...
    @property
    def handlers(self) -> Handlers: ...
    def attach(self, shard: "Shard") -> None: ...
