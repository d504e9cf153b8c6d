"""What a shard serves."""

from typing import Protocol

from shardws.events import Handlers
from shardws.settings.values import Settings
from shardws.shard.shard import Shard


class Application(Protocol):
    """Settings and handlers; `shardws.server.WebSocketServer` is one."""

    @property
    def settings(self) -> Settings: ...
    @property
    def handlers(self) -> Handlers: ...
    def attach(self, shard: Shard) -> None: ...
