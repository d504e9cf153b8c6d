"""What the kernel says of processes: memory, descriptors, and its own memory. Linux only."""

import os
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


def memory_of_all(pids: list[int]) -> Memory:
    return sum((memory_of(pid) for pid in pids), NOTHING)


def descriptors(pid: int) -> int:
    """How many a process has open; raises OSError when there is no such process."""
    return len(os.listdir(PROC / str(pid) / "fd"))


def slab_kib() -> int:
    """The kernel's small objects on the whole machine: sockets, files, inodes among them."""
    return kib_fields((PROC / "meminfo").read_text())["Slab"]
