"""Many idle connections with keepalive: CPU per second, and memory per connection.

Each connection is sent a ping after 15 to 20 idle seconds. All connected within a few seconds, so
the pings still come in bursts, and a window of 10 s may have none or all of them: the figures are
for the whole time, and per ping.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import generator, procfs
from benchmarks.errors import RunFailed
from benchmarks.matrix import Section, Workload
from benchmarks.procfs import Memory, cpu_seconds
from benchmarks.sharded import serving_shards

INTERVAL_S = 20.0  # PingInterval by default
SHORTEST = 0.75  # of the interval: keepalive.JITTER
BASELINE_S = 3.0
WINDOW_S = 10.0
CONNECT_S = 15.0


@dataclass(frozen=True)
class Idle:
    """Figures of all connections together, but for the windows: CPU ms per second in each."""

    connections: int
    shards: int
    connect_s: float
    connect_cpu_s: float
    seconds: float
    pings: int
    cpu_s: float
    windows_ms: tuple[float, ...]
    empty_ms: float  # CPU ms per second before
    memory: Memory  # growth of all processes
    slab_kib: int  # growth on this machine, which has both ends of each connection

    @property
    def cpu_ms(self) -> float:
        """The server's CPU time per second."""
        return self.cpu_s / self.seconds * 1000

    @property
    def ping_us(self) -> float:
        """CPU for a ping and its pong, without that of an idle server."""
        return (self.cpu_s - self.empty_ms / 1000 * self.seconds) / max(self.pings, 1) * 1e6


def estimate_s(seconds: float) -> float:
    """The estimated duration in seconds."""
    return CONNECT_S + BASELINE_S + INTERVAL_S + seconds


def windows(pids: list[int], seconds: float) -> Iterator[tuple[float, float]]:
    """Seconds and CPU seconds of windows of WINDOW_S."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        before = cpu_seconds(pids)
        time.sleep(min(WINDOW_S, end - now))
        yield time.monotonic() - now, cpu_seconds(pids) - before


def check_descriptors(connections: int, shards: int, limit: int) -> None:
    """Raises RunFailed with what would fit: the generator has an end of each, a shard its share."""
    spare = 200 + 2 * shards
    if connections + spare > limit:
        raise RunFailed(f"{limit} descriptors for a process hold {limit - spare} connections")


def measure(connections: int, shards: int, seconds: float, say: Callable[[str], None]) -> Idle:
    """Connect, wait for the first pings, watch; raises RunFailed."""
    workload = Workload(Section.MEMORY, "hold", connections, flags=("--greeted",))
    with serving_shards(shards) as server:
        pids = server.pids
        empty_ms = procfs.idle_cpu_ms(pids, BASELINE_S)
        memory, slab, cpu = procfs.memory_of_all(pids), procfs.slab_kib(), cpu_seconds(pids)
        with generator.held(workload, server.target()) as crowd:
            connect_cpu = cpu_seconds(pids) - cpu
            say(f"{connections:,} connected in {crowd.connect_s:.1f} s")
            time.sleep(INTERVAL_S)
            pings = crowd.pings()
            if not pings:
                raise RunFailed(f"no ping within {INTERVAL_S:.0f} s")
            seen = []
            for took, used in windows(pids, seconds):
                seen.append((took, used))
                say(f"{used / took * 1000:.1f} ms of CPU per second")
            pings = crowd.pings() - pings
            grown = procfs.memory_of_all(pids) - memory
            slab = procfs.slab_kib() - slab
    return Idle(
        connections,
        shards,
        crowd.connect_s,
        connect_cpu,
        sum(took for took, _ in seen),
        pings,
        sum(used for _, used in seen),
        tuple(used / took * 1000 for took, used in seen),
        empty_ms,
        grown,
        slab,
    )
