"""TLS by itself: ours beside uvloop's, under the same server.

    python -m benchmarks.tls [--rounds N] [--seconds S] [--idle N]

Prints two tables, in a minute and a half: CPU of the server for each message and each new
connection, and memory of an idle one; and handshakes beside the stdlib's, in memory. Ours is
started by `shardws run` with one shard, uvloop's by uvloop_tls.py; they alternate.

Uvloop's TLS reads into a new object of 256 KiB each time. In a fresh process glibc maps and unmaps
that; when the first connection has closed, and with it a buffer of that size was freed, glibc keeps
such memory, and the reads become cheap. So uvloop's is measured as it comes, behind some clients
that have left, and `mapping`, with glibc told to go on as it begins, as if none had left yet.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import certificate, contestants, generator, tls_handshakes
from benchmarks.contestants import Command, Contestant, Place
from benchmarks.generator import RunFailed, Target
from benchmarks.matrix import Matrix, Section, Workload, tls_echo
from benchmarks.rounds import Cores, figures_of, idle_memory, place_in, prime, start
from loadtests.serving import Processes, StartFailed

STORM = Workload(Section.TLS, "storm", 32)
LOADS = (tls_echo(64, 125, 1), tls_echo(64, 125, 8), STORM)


def by_uvloop(place: Place) -> list[Command]:
    words: list[str | Path] = [sys.executable, "-m", "benchmarks.uvloop_tls"]
    return [Command([*words, str(place.port), *place.files], place.port)]


def mapping(place: Place) -> list[Command]:
    (command,) = by_uvloop(place)
    return [replace(command, environment={"MALLOC_MMAP_THRESHOLD_": "131072"})]


def row(name: str, commands: Callable[[Place], list[Command]]) -> Contestant:
    return Contestant(name, name, ("shardws",), commands, frozenset({Section.TLS}))


OURS = row("ours", contestants.shardws())
THEIRS = row("uvloop's", by_uvloop)
CONTESTANTS = (OURS, THEIRS, row("uvloop's, mapping", mapping))
IDLE = "KiB of an idle connection"
Figures = dict[tuple[str, str], list[float]]  # by contestant and name of the figure


def measured(target: Target, workload: Workload, matrix: Matrix) -> tuple[str, float]:
    """Return name and value of a figure, and say it with what shows who was busy."""
    figures = figures_of(generator.measure(workload, target, matrix))
    title = "connect and leave" if workload is STORM else workload.shape
    shares = f"server {figures['server_share']:.2f}, client {figures['client_share']:.2f} of a core"
    sys.stderr.write(f"{title}: {figures['cpu_us']:.1f} us, {figures['rate']:.0f}/s, {shares}\n")
    return f"CPU us, {title}", figures["cpu_us"]


def one_round(contestant: Contestant, matrix: Matrix, idle: int) -> Iterator[tuple[str, float]]:
    """Yield the figures of one round."""
    sys.stderr.write(f"{contestant.name}\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes() as processes:
        place = place_in(Path(name), Section.TLS)
        target = start(contestant, place, processes, Cores.of_this_machine())
        prime(Section.TLS, target)
        memory = idle_memory(Workload(Section.TLS, "hold", idle), target, processes)
        yield IDLE, memory["kib"]
        for workload in matrix.workloads:
            yield measured(target, workload, matrix)


def collect(matrix: Matrix, idle: int) -> Figures:
    """Run all rounds."""
    found: Figures = {}
    for _ in range(matrix.rounds):
        for contestant in CONTESTANTS:
            for name, value in one_round(contestant, matrix, idle):
                found.setdefault((contestant.name, name), []).append(value)
    return found


def cell(ours: list[float], values: list[float]) -> str:
    """Return median and best, and what ours is of it: by the best, which noise does not move."""
    shown = f"{statistics.median(values):.1f}, best {min(values):.1f}"
    return shown if values is ours else f"{shown} ({min(ours) / min(values):.2f})"


def table(found: Figures) -> str:
    """Return all figures; in parentheses what ours is of uvloop's."""
    lines = ["| | " + " | ".join(one.name for one in CONTESTANTS) + " |", "|---|---|---|---|"]
    for name in dict.fromkeys(name for _, name in found):
        ours = found[OURS.name, name]
        cells = [cell(ours, found[one.name, name]) for one in CONTESTANTS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def handshakes() -> str:
    """Return the table of handshakes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        return "\n".join(tls_handshakes.rows(*certificate.make(Path(name))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--idle", type=int, default=1000)
    options = parser.parse_args(arguments)
    try:
        generator.build()
        found = collect(Matrix("tls", LOADS, options.rounds, options.seconds), options.idle)
    except (RunFailed, StartFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{table(found)}\n\n{handshakes()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
