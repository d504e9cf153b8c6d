"""Where in the server a shard stands.

Owns what a shard is told of itself by who starts it: a supervisor, or the pump of a program.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shardws.census import Page
from shardws.stats import Stats


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the server a shard stands."""

    slot: int
    generation: int
    node: int
    boot_nonce: str  # 16 hex digits, made by the supervisor at its start
    pid: int
    stats: Stats
    run_directory: str = ""  # where the mesh meets; "" for a shard without peers
    page: Page | None = None  # of the census; None when nobody would read it
    stop_server: Callable[[], None] | None = None  # asks the supervisor; None without one
