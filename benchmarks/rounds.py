"""Measuring: start a server, load it, stop it; alternating, so that all meet the same machine.

A round starts every contestant once for every kind of start: A B C, A B C, A B C. What the machine
does to one it does to its neighbours too, and a ratio is taken within a round.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import certificate, generator
from benchmarks.contestants import PROJECT, Contestant, Place
from benchmarks.generator import RunFailed, Target
from benchmarks.matrix import STARTS, Matrix, Section, Workload
from loadtests.serving import Processes, StartFailed, free_port

SETTLE_S = 0.3
SETTLE_LIMIT_S = 10.0
PRIME = Workload(Section.ECHO, "echo", 8, 125, 4)
PRIME_S = 0.3
BRIEF = 240


@dataclass(frozen=True)
class Run:
    """One measured load: figures by name (see figures.py), or why there are none."""

    number: int
    contestant: str
    workload: Workload
    figures: dict[str, float] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Cores:
    """Where servers and the generator run; empty: anywhere."""

    server: tuple[int, ...] = ()
    generator: tuple[int, ...] = ()

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """One core each when there are two that we may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls((usable[0],), (usable[1],)) if len(usable) > 1 else cls()

    def in_section(self, section: Section) -> "Cores":
        """Two processes of a server and their broker share all cores with the generator."""
        return Cores() if section is Section.CROSS else self


def figures_of(load: generator.Load) -> dict[str, float]:
    return {
        "cpu_us": load.server_cpu_s / load.messages * 1e6,
        "rate": load.messages / load.seconds,
        "p50_us": load.p50_us,
        "p99_us": load.p99_us,
        "server_share": load.server_cpu_s / load.seconds,
        "client_share": load.client_cpu_s / load.seconds,
    }


def settled(processes: Processes) -> list[int]:
    """The server's processes when no more come and go; raises StartFailed."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    pids = processes.pids()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_S)
        before, pids = pids, processes.pids()
        if before == pids:
            return pids
    raise StartFailed("its processes come and go")


def idle_memory(workload: Workload, target: Target, processes: Processes) -> dict[str, float]:
    """Resident KiB per connection. One crowd per start: a second one reuses what the first left."""
    before = processes.resident_kib()
    with generator.held(workload, target):
        time.sleep(SETTLE_S)
        after = processes.resident_kib()
    return {"kib": (after - before) / workload.connections, "resident_mib": before / 1024}


def one_load(
    workload: Workload, target: Target, processes: Processes, matrix: Matrix
) -> dict[str, float]:
    """Raises RunFailed, also when a process of the server ended meanwhile."""
    if workload.section is Section.MEMORY:
        figures = idle_memory(workload, target, processes)
    else:
        figures = figures_of(generator.measure(workload, target, matrix))
    if set(target.pids) - set(processes.pids()):
        raise RunFailed(f"a process of the server ended: {processes.log_tail()[-300:]}")
    return figures


def start(contestant: Contestant, place: Place, processes: Processes, cores: Cores) -> Target:
    for command in contestant.commands(place):
        processes.start(
            command.argv,
            command.ready,
            cwd=PROJECT,
            cores=cores.server,
            environment=command.environment,
        )
    port2 = place.port2 if contestant.has_two_ports else 0
    return Target(place.port, settled(processes), port2, cores.generator)


def prime(section: Section, target: Target) -> None:
    """An unrecorded load: caches, first allocations, just-in-time compilers."""
    if section is not Section.CROSS:
        workload = Workload(section, PRIME.mode, PRIME.connections, PRIME.size, PRIME.depth)
        generator.run(workload, target, PRIME_S, 0.0)


def in_brief(error: Exception) -> str:
    """One line, and of a long log the end, where the reason stands."""
    words = " ".join(str(error).split())
    return words if len(words) <= BRIEF else f"... {words[-BRIEF:]}"


def one_start(
    contestant: Contestant, workloads: Sequence[Workload], number: int, matrix: Matrix
) -> Iterator[Run]:
    """All these workloads against one start of a server, of the kind that the first one needs."""
    left = list(workloads)
    if not left:
        return
    section = left[0].section
    cores = Cores.of_this_machine().in_section(section)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes() as processes:
        try:
            place = place_in(Path(name), section)
            target = start(contestant, place, processes, cores)
            prime(section, target)
            while left:
                workload = left[0]
                try:
                    figures = one_load(workload, target, processes, matrix)
                    yield Run(number, contestant.name, workload, figures)
                except RunFailed as error:
                    yield Run(number, contestant.name, workload, failure=in_brief(error))
                left.pop(0)
        except (StartFailed, RunFailed) as error:
            for workload in left:
                yield Run(number, contestant.name, workload, failure=in_brief(error))


def place_in(directory: Path, section: Section) -> Place:
    shards = 2 if section is Section.CROSS else 1
    if section is not Section.TLS:
        return Place(free_port(), free_port(), directory, shards)
    chain, key = certificate.make(directory)
    return Place(free_port(), free_port(), directory, shards, chain, key)


def alternate(
    contestants: Sequence[Contestant],
    sections: Sequence[Section],
    matrix: Matrix,
    say: Callable[[Run], None],
) -> list[Run]:
    """All rounds; `say` is told each run as it is done."""
    runs: list[Run] = []
    for number in range(matrix.rounds):
        for kinds in STARTS:
            for contestant in contestants:
                served = set(kinds) & set(sections) & contestant.sections
                workloads = [one for one in matrix.workloads if one.section in served]
                for run in one_start(contestant, workloads, number, matrix):
                    say(run)
                    runs.append(run)
    return runs
