"""Links, descriptors, memory and idle CPU as shards grow: what N * (N - 1) one-way links cost.

No client is connected. Memory is private to each process; CPU is that of timers, including those of
links. The kernel's part is the growth of its slab on the whole machine, so another program that
opens or closes many files distorts it; a growth below 0 is shown as 0.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median

from benchmarks import procfs
from benchmarks.sharded import ShardedServer, serving_shards
from benchmarks.tables import Sheet

SETTLE_S = 1.0
WATCH_S = 3.0
SECONDS_OF_START = 2.0

LINKS = "links"
DESCRIPTORS = "descriptors of a shard"
PRIVATE = "private KiB of a shard"
PSS = "PSS KiB of a shard"
ALL_PSS = "PSS MiB of all"
SLAB = "kernel slab MiB"
IDLE = "idle CPU, ms per s"
START = "start, s"
COLUMNS = (LINKS, DESCRIPTORS, PRIVATE, PSS, ALL_PSS, SLAB, IDLE, START)


def estimate_s(shards: Sequence[int], rounds: int) -> float:
    """The estimated duration in seconds."""
    return rounds * len(shards) * (SECONDS_OF_START + SETTLE_S + WATCH_S)


def beside_others(sheet: Sheet) -> dict[int, float]:
    """Private KiB of a shard by the number of shards; a single one shares no pages."""
    return {count: kib for count, kib in sheet.middles(PRIVATE).items() if count > 1}


def figures_of(server: ShardedServer, slab_before_kib: int) -> dict[str, float]:
    """By column."""
    time.sleep(SETTLE_S)
    shards = [procfs.memory_of(pid) for pid in server.shards]
    return {
        LINKS: sum(slot["links_out"] for slot in server.slots()),
        DESCRIPTORS: median(procfs.descriptors(pid) for pid in server.shards),
        PRIVATE: median(one.private for one in shards),
        PSS: median(one.pss for one in shards),
        ALL_PSS: procfs.memory_of_all(server.pids).pss / 1024,
        SLAB: max(0, procfs.slab_kib() - slab_before_kib) / 1024,
        IDLE: procfs.idle_cpu_ms(server.pids, WATCH_S),
        START: server.start_s,
    }


def measure(shards: Sequence[int], rounds: int, say: Callable[[str], None]) -> Sheet:
    """All rounds, each with every number of shards; raises RunFailed."""
    sheet = Sheet()
    for _ in range(rounds):
        for count in shards:
            slab = procfs.slab_kib()
            with serving_shards(count) as server:
                figures = figures_of(server, slab)
            for column, value in figures.items():
                sheet.add(column, count, value)
            say(
                f"{count:3} shards  {figures[LINKS]:5.0f} links  {figures[PRIVATE]:.0f} KiB private"
                f"  {figures[IDLE]:.1f} ms of CPU per second"
            )
    return sheet
