"""What is measured: workloads as data, and three matrices of them: quick, default, full.

A workload belongs to a section (one table of the report) and defines the options of the load
generator; a section defines how its servers are started.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

KIB = 1024
MIB = 1024 * KIB
ON_THE_WAY_LIMIT = 64 * MIB  # connections x depth x size: more measures the memory bus and swap


class Section(StrEnum):
    """One table of the report each."""

    ECHO = "echo"
    STORM = "storm"
    BROADCAST = "broadcast"
    MEMORY = "memory"
    TLS = "tls"
    CROSS = "cross"


# Sections measured with one start of a server, in this order. Memory needs a fresh process.
STARTS = (
    (Section.ECHO, Section.STORM, Section.BROADCAST),
    (Section.MEMORY,),
    (Section.TLS,),
    (Section.CROSS,),
)


@dataclass(frozen=True)
class Workload:
    """One measured load; size in bytes, depth is messages in flight."""

    section: Section
    mode: str  # of the generator
    connections: int
    size: int = 32
    depth: int = 1
    is_text: bool = False
    flags: tuple[str, ...] = ()  # further options of the generator

    @property
    def on_the_way(self) -> int:
        """The most bytes in flight."""
        return self.connections * self.depth * self.size

    @property
    def title(self) -> str:
        """The title of this workload within its section."""
        count = f"{self.connections:,}"
        match self.mode:
            case "storm":
                return f"{count} at a time"
            case "hold":
                return f"{count} idle"
            case "broadcast":
                return f"{count} connections, {size_text(self.size)}, {self.depth} in flight"
            case "pair":
                return f"{plural(self.connections, 'pair')}, {self.shape}"
        return f"{plural(self.connections, 'connection')}, {self.shape}"

    @property
    def shape(self) -> str:
        return f"{size_text(self.size)}, depth {self.depth}"

    @property
    def unit(self) -> str:
        """The unit that the figures are per."""
        units = {"storm": "connection", "hold": "connection", "broadcast": "delivery"}
        return units.get(self.mode, "message")

    @property
    def options(self) -> list[str]:
        """Options of the generator, after its mode."""
        words = ["--connections", str(self.connections), "--size", str(self.size)]
        words += ["--depth", str(self.depth)]
        if self.is_text:
            words.append("--text")
        if self.section is Section.TLS:
            words.append("--tls")
        return [*words, *self.flags]


@dataclass(frozen=True)
class Matrix:
    """Workloads, rounds and duration; seconds are of one measured load."""

    name: str
    workloads: tuple[Workload, ...]
    rounds: int
    seconds: float
    warmup_s: float = 0.3


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def size_text(size: int) -> str:
    """`125 B`, `16 KiB`, `1 MiB`."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def echo(connections: int, size: int, depth: int) -> Workload:
    return Workload(Section.ECHO, "echo", connections, size, depth)


def tls_echo(connections: int, size: int, depth: int) -> Workload:
    return Workload(Section.TLS, "echo", connections, size, depth)


def cross(pairs: int, depth: int) -> Workload:
    return Workload(Section.CROSS, "pair", pairs, 100, depth, is_text=True)


def broadcast(depth: int) -> Workload:
    return Workload(Section.BROADCAST, "broadcast", 1000, 125, depth, is_text=True)


def storm() -> Workload:
    return Workload(Section.STORM, "storm", 32)


def memory(connections: int) -> Workload:
    return Workload(Section.MEMORY, "hold", connections)


def quick() -> Matrix:
    """Under two minutes: a sanity check."""
    workloads = (
        *(echo(64, 125, depth) for depth in (1, 16)),
        storm(),
        broadcast(8),
        memory(1000),
        tls_echo(64, 125, 1),
        cross(64, 16),
    )
    return Matrix("quick", workloads, rounds=2, seconds=0.6, warmup_s=0.2)


def default() -> Matrix:
    """About twenty minutes: the published page."""
    workloads = (
        *(echo(64, size, depth) for size in (32, 125, KIB, 16 * KIB) for depth in (1, 16)),
        *(echo(1, 125, depth) for depth in (1, 16)),
        *(echo(1000, 125, depth) for depth in (1, 16)),
        echo(16, MIB, 1),
        storm(),
        *(broadcast(depth) for depth in (1, 8)),
        memory(5000),
        *(tls_echo(64, 125, depth) for depth in (1, 16)),
        tls_echo(64, 16 * KIB, 1),
        *(cross(64, depth) for depth in (1, 16)),
    )
    return Matrix("default", workloads, rounds=3, seconds=1.5)


def full_echoes() -> Iterator[Workload]:
    """Every size with every depth and number of connections within the limit."""
    for connections in (1, 64, 1000):
        for size in (32, 125, KIB, 16 * KIB, MIB):
            for depth in (1, 16):
                workload = echo(connections, size, depth)
                if workload.on_the_way <= ON_THE_WAY_LIMIT:
                    yield workload


def full() -> Matrix:
    """Two hours and more: everything, longer."""
    echoes = tuple(full_echoes())
    others = tuple(one for one in default().workloads if one.section is not Section.ECHO)
    more = (memory(15000), cross(1, 1), cross(1, 16), tls_echo(1000, 125, 1))
    return Matrix("full", (*echoes, *others, *more), rounds=5, seconds=3.0, warmup_s=0.5)


MATRICES = {"quick": quick, "default": default, "full": full}
