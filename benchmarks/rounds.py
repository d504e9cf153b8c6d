"""Measuring: start a server, load it, stop it; alternating, so that conditions are the same.

A round starts every contestant once for every kind of start: A B C, A B C, A B C. Other load on the
machine affects neighbouring runs alike, and a ratio is taken within a round.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import generator
from benchmarks.contestants import Contestant
from benchmarks.errors import RunFailed
from benchmarks.generator import Target
from benchmarks.matrix import STARTS, Matrix, Section, Workload
from benchmarks.serving import SETTLE_S, Cores, Server, serving

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


def idle_memory(workload: Workload, target: Target, server: Server) -> dict[str, float]:
    """Resident KiB per connection. Once per start: a second set would reuse freed memory."""
    before = server.processes.resident_kib()
    with generator.held(workload, target):
        time.sleep(SETTLE_S)
        after = server.processes.resident_kib()
    return {"kib": (after - before) / workload.connections, "resident_mib": before / 1024}


def one_load(
    workload: Workload, target: Target, server: Server, matrix: Matrix
) -> dict[str, float]:
    """Raises RunFailed, also when a process of the server ended meanwhile."""
    if workload.mode == "hold":
        figures = idle_memory(workload, target, server)
    else:
        figures = generator.run(workload, target, matrix.seconds, matrix.warmup_s).figures()
    server.check(target.pids)
    return figures


@contextmanager
def primed(contestant: Contestant, section: Section) -> Iterator[tuple[Server, Target]]:
    """A server after an unrecorded load: caches, first allocations, just-in-time compilers.

    In the section cross, two processes and their broker share all cores with the generator.
    """
    is_cross = section is Section.CROSS
    cores = Cores() if is_cross else Cores.of_this_machine()
    with serving(
        contestant.commands,
        shards=2 if is_cross else 1,
        has_tls=section is Section.TLS,
        cores=cores.server,
    ) as server:
        server.settle()
        target = server.target(cores.generator, has_two_ports=contestant.has_two_ports)
        if not is_cross:
            workload = Workload(section, PRIME.mode, PRIME.connections, PRIME.size, PRIME.depth)
            generator.run(workload, target, PRIME_S, 0.0)
        yield server, target


def in_brief(error: Exception) -> str:
    """One line; of a long log the end, which has the reason."""
    words = " ".join(str(error).split())
    return words if len(words) <= BRIEF else f"... {words[-BRIEF:]}"


def one_start(
    contestant: Contestant, workloads: Sequence[Workload], number: int, matrix: Matrix
) -> Iterator[Run]:
    """All these workloads against one start of a server, as the first one needs it."""
    left = list(workloads)
    if not left:
        return
    try:
        with primed(contestant, left[0].section) as (server, target):
            while left:
                workload = left.pop(0)
                try:
                    figures = one_load(workload, target, server, matrix)
                except RunFailed as error:
                    yield Run(number, contestant.name, workload, failure=in_brief(error))
                else:
                    yield Run(number, contestant.name, workload, figures)
    except RunFailed as error:
        for workload in left:
            yield Run(number, contestant.name, workload, failure=in_brief(error))


def alternate(
    contestants: Sequence[Contestant],
    sections: Sequence[Section],
    matrix: Matrix,
    say: Callable[[Run], None],
) -> list[Run]:
    """All rounds; `say` is called with each run as it finishes."""
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
