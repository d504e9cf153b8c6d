"""A server with N shards to be measured: started, all links up, ended.

Connections are handed to the shard with the fewest (AcceptMode handoff), so that every shard has
the same number: the kernel's own spreading gives one shard twice as many as another.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants import PROJECT
from benchmarks.generator import RunFailed, Target
from loadtests.serving import Processes, StartFailed, free_port
from shardws.control import connect_blocking

APPLICATION = "benchmarks.scaling.application:server"
MESH_LIMIT_S = 30.0
POLL_S = 0.02


@dataclass(frozen=True)
class Server:
    """A server whose shards all have links to all others."""

    port: int
    shards: list[int]  # process numbers
    processes: Processes
    run_directory: Path
    start_s: float  # from its start until every link was up

    @property
    def pids(self) -> list[int]:
        """Its shards, its supervisor, and who accepts for them."""
        return self.processes.pids()

    def target(self, cores: Sequence[int]) -> Target:
        """For a generator that runs on `cores`; empty: anywhere."""
        return Target(self.port, self.pids, cores=cores)

    def run_on(self, cores: Sequence[int]) -> None:
        """Keep all its processes on some cores from now on."""
        for pid in self.pids:
            os.sched_setaffinity(pid, cores)

    def slots(self) -> list[dict[str, Any]]:
        """What `shardws status` says of each shard."""
        return slots_in(self.run_directory)

    def check(self) -> None:
        """Raises RunFailed when a shard died or was replaced."""
        now = [slot.get("pid") for slot in self.slots()]
        if now != self.shards:
            raise RunFailed(f"a shard ended: {self.processes.log_tail()[-300:]}")


def slots_in(run_directory: Path) -> list[dict[str, Any]]:
    """Ask anew each time: a client that is silent for long is dropped. Raises ControlError."""
    with connect_blocking(run_directory) as client:
        found: list[dict[str, Any]] = client.ask("status")["shards"]
    return found


def is_meshed(slots: Sequence[dict[str, Any]], shards: int) -> bool:
    """Whether all shards are there and every link is up, both ways."""
    ready = [slot for slot in slots if slot["state"] == "ready"]
    return len(ready) == shards and all(
        slot["links_out"] == slot["links_in"] == shards - 1 for slot in ready
    )


@contextmanager
def serving(shards: int, accept_mode: str = "handoff") -> Iterator[Server]:
    """Raises StartFailed when it is not up in time."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as name, Processes() as processes:
        run_directory, port = Path(name) / "run", free_port()
        words: list[str | Path] = [Path(sys.executable).parent / "shardws", "run", APPLICATION]
        words += ["--local-host", "127.0.0.1", "--local-port", str(port)]
        words += ["--shards", str(shards), "--accept-mode", accept_mode]
        began = time.monotonic()
        processes.start([*words, "--run-dir", run_directory], port, cwd=PROJECT)
        slots = slots_in(run_directory)
        while not is_meshed(slots, shards):
            if time.monotonic() > began + MESH_LIMIT_S:
                raise StartFailed(f"links are missing: {processes.log_tail()}")
            time.sleep(POLL_S)
            slots = slots_in(run_directory)
        took = time.monotonic() - began
        yield Server(port, [slot["pid"] for slot in slots], processes, run_directory, took)
