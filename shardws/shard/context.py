"""What a shard is given by its creator.

That is the supervisor's fork (shard.process) or the calling program (shard.embedded).
"""

from collections.abc import Callable
from dataclasses import dataclass

from shardws.census import Page
from shardws.stats import Stats


def nobody() -> None:
    """Stand in for the supervisor of a shard that has none."""


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
    page: Page | None = None  # of the census; None without a supervisor to read it
    stop_server: Callable[[], None] = nobody  # asks the supervisor
    on_short_ids: Callable[[], None] = nobody  # called once, when ConnectionIds run short
