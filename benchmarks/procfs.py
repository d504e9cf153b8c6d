"""The kernel's figures of processes: CPU, memory, descriptors, and slab. Linux only."""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """KiB of one process, or of several. `pss` counts a page that N share as 1/N for each."""

    rss: int
    pss: int
    private: int

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.rss + other.rss, self.pss + other.pss, self.private + other.private)

    def __sub__(self, other: "Memory") -> "Memory":
        return Memory(self.rss - other.rss, self.pss - other.pss, self.private - other.private)


NOTHING = Memory(0, 0, 0)


def process_tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for children in (PROC / str(pid) / "task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                found += process_tree(int(child))
    return found


def birth(pid: int) -> str | None:
    """When a process started, in ticks since boot; None for none or a zombie.

    Pid and start time together identify a process uniquely.
    """
    with suppress(OSError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    return None


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and kernel time of processes with all their threads, including ended threads.

    The kernel's clock of a process (clock_getcpuclockid) in nanoseconds; /proc/PID/stat counts in
    ticks of 10 ms. A process that has ended counts as 0.
    """
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2)
    return total


def idle_cpu_ms(pids: Sequence[int], seconds: float) -> float:
    """CPU of all these processes in each of the next seconds, in ms."""
    before, began = cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / (time.monotonic() - began) * 1000


def kib_fields(text: str) -> dict[str, int]:
    """Lines such as `Rss:   30928 kB` of files in /proc, by name."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0])
    return found


def memory_of(pid: int) -> Memory:
    """Raises OSError when there is no such process."""
    fields = kib_fields((PROC / str(pid) / "smaps_rollup").read_text())
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return Memory(fields["Rss"], fields["Pss"], private)


def memory_of_all(pids: Iterable[int]) -> Memory:
    """The sum over the processes that exist; whether all do is checked separately."""
    total = NOTHING
    for pid in pids:
        with suppress(OSError):
            total += memory_of(pid)
    return total


def descriptors(pid: int) -> int:
    """The number of open descriptors of a process; raises OSError when there is no such process."""
    return len(os.listdir(PROC / str(pid) / "fd"))


def slab_kib() -> int:
    """The kernel's slab of the whole machine: sockets, files, inodes and others."""
    return kib_fields((PROC / "meminfo").read_text())["Slab"]
