"""Our server with N shards, all links up, ready to be measured.

Connections are handed to the shard with the fewest (AcceptMode handoff), so that every shard has
the same number: with the kernel's spreading one shard gets twice as many as another.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants import shardws
from benchmarks.errors import RunFailed, StartFailed
from benchmarks.serving import Server, serving
from shardws.control import connect_blocking
from shardws.errors import ControlError, StartError

APPLICATION = "benchmarks.scaling.application:server"
MESH_LIMIT_S = 30.0
POLL_S = 0.02


@dataclass(frozen=True)
class ShardedServer(Server):
    """A server whose shards all have links to all others; `pids` has the supervisor too."""

    shards: list[int]  # process numbers
    start_s: float  # from its start until every link was up

    def slots(self) -> list[dict[str, Any]]:
        """The shards in `shardws status`; raises RunFailed."""
        return slots_in(self.place.directory / "run")

    def check_shards(self) -> None:
        """Raises RunFailed when a shard died or was replaced."""
        if [slot.get("pid") for slot in self.slots()] != self.shards:
            raise RunFailed(f"a shard ended: {self.processes.log_tail()[-300:]}")


def slots_in(run_directory: Path) -> list[dict[str, Any]]:
    """Connect for each query: a client that is silent for long is dropped. Raises RunFailed."""
    try:
        with connect_blocking(run_directory) as client:
            found: list[dict[str, Any]] = client.ask("status")["shards"]
    except (ControlError, StartError) as error:
        raise RunFailed(str(error)) from error
    return found


def is_meshed(slots: Sequence[dict[str, Any]], shards: int) -> bool:
    """Whether all shards are ready and every link is up in both directions."""
    ready = [slot for slot in slots if slot["state"] == "ready"]
    return len(ready) == shards and all(
        slot["links_out"] == slot["links_in"] == shards - 1 for slot in ready
    )


@contextmanager
def serving_shards(shards: int) -> Iterator[ShardedServer]:
    """Raises StartFailed when it is not up in time, RunFailed when a shard is gone at the end."""
    commands = shardws(APPLICATION, "--accept-mode", "handoff")
    began = time.monotonic()
    with serving(commands, shards=shards) as server:
        slots = slots_in(server.place.directory / "run")
        while not is_meshed(slots, shards):
            if time.monotonic() > began + MESH_LIMIT_S:
                raise StartFailed(f"links are missing: {server.processes.log_tail()}")
            time.sleep(POLL_S)
            slots = slots_in(server.place.directory / "run")
        took = time.monotonic() - began
        pids = [slot["pid"] for slot in slots]
        found = ShardedServer(server.place, server.processes, pids, took)
        yield found
        found.check_shards()
