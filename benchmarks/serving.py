"""Starts the servers of all measurements and load tests: `serving`.

A server is one process or several, started in order, with free ports, an empty directory, and a
certificate if it is to serve TLS. The commands are a function of such a Place.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import certificate
from benchmarks.errors import RunFailed, StartFailed
from benchmarks.generator import Target
from benchmarks.packages import PROJECT
from benchmarks.processes import Processes, free_port

SETTLE_S = 0.3
SETTLE_LIMIT_S = 10.0


@dataclass(frozen=True)
class Place:
    """The resources of one start: two ports, an empty directory, a certificate for TLS."""

    port: int
    port2: int
    directory: Path
    shards: int = 1
    files: tuple[Path, ...] = ()  # certificate and key; empty without TLS


@dataclass(frozen=True)
class Command:
    """A process to start; it is up when `ready`, a port or a file, is available."""

    argv: Sequence[str | Path]
    ready: int | Path
    environment: Mapping[str, str] = field(default_factory=dict)


Commands = Callable[[Place], Sequence[Command]]


@dataclass(frozen=True)
class Cores:
    """Where servers and the generator run; empty: anywhere."""

    server: tuple[int, ...] = ()
    generator: tuple[int, ...] = ()

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """One core each when two are available."""
        usable = sorted(os.sched_getaffinity(0))
        return cls((usable[0],), (usable[1],)) if len(usable) > 1 else cls()


@dataclass(frozen=True)
class Server:
    """A running server."""

    place: Place
    processes: Processes

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return self.processes.pids()

    def target(self, cores: Sequence[int] = (), *, has_two_ports: bool = False) -> Target:
        """For a generator that runs on `cores`; empty: anywhere."""
        port2 = self.place.port2 if has_two_ports else 0
        return Target(self.place.port, self.pids, port2, cores)

    def settle(self) -> None:
        """Wait until its set of processes is stable; raises StartFailed."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        pids = self.pids
        while time.monotonic() < deadline:
            time.sleep(SETTLE_S)
            before, pids = pids, self.pids
            if before == pids:
                return
        raise StartFailed("its processes keep changing")

    def run_on(self, cores: Sequence[int]) -> None:
        """Pin all its processes to some cores."""
        for pid in self.pids:
            os.sched_setaffinity(pid, cores)

    def check(self, pids: Sequence[int]) -> None:
        """Raises RunFailed when one of these processes has ended."""
        if set(pids) - set(self.pids):
            log = self.processes.log_tail()[-300:]
            raise RunFailed(f"a process of the server ended: {log}")


@contextmanager
def serving(
    commands: Commands, *, shards: int = 1, has_tls: bool = False, cores: Sequence[int] = ()
) -> Iterator[Server]:
    """A server inside the block; raises StartFailed when it is not up in time."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes() as processes:
        directory = Path(name)
        files = certificate.make(directory) if has_tls else ()
        place = Place(free_port(), free_port(), directory, shards, files)
        for command in commands(place):
            processes.start(
                command.argv,
                command.ready,
                cwd=PROJECT,
                cores=cores,
                environment=command.environment,
            )
        yield Server(place, processes)
