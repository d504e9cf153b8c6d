"""What a shard is given by whoever starts it: its context, and the application it serves.

The starter is the supervisor's fork (shard.process) or the calling program (shard.embedded).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shardws.census import Page
from shardws.events import Handlers
from shardws.settings.values import Settings
from shardws.stats import Stats

if TYPE_CHECKING:
    from shardws.shard.shard import Shard


class Application(Protocol):
    """What a shard serves; `shardws.server.WebSocketServer` is one."""

    @property
    def settings(self) -> Settings: ...
    @property
    def handlers(self) -> Handlers: ...
    def attach(self, shard: "Shard") -> None: ...


@dataclass(frozen=True, slots=True)
class ShardContext:
    """Which shard of which server this one is."""

    slot: int
    generation: int
    node: int
    boot_nonce: str  # 16 hex digits, made by the supervisor at its start
    pid: int
    stats: Stats
    run_directory: str = ""  # where the mesh sockets are; "" for a shard without peers
    page: Page | None = None  # of the census; None when nobody would read it
    stop_server: Callable[[], None] | None = None  # asks the supervisor; None without one
