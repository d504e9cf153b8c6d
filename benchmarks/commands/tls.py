"""Measure TLS alone: ours and uvloop's, under the same server.

Prints two tables, in a minute and a half: CPU of the server for each message and each new
connection, and memory of an idle one; and in-memory handshakes, ours and the stdlib's. Ours is
started by `shardws run` with one shard, uvloop's by uvloop_tls.py; they alternate.

uvloop's TLS reads into a new object of 256 KiB each time. In a fresh process glibc maps and unmaps
that; once the first connection has closed, and a buffer of that size was freed, glibc keeps such
memory, and the reads become cheap. So uvloop's is measured twice: with defaults, after some clients
have left, and as `mapping`, with glibc set to keep mapping, as if none had left yet.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import certificate, contestants, figures, generator, report, tls_handshakes
from benchmarks.contestants import Contestant
from benchmarks.matrix import Matrix, Section, Workload, tls_echo
from benchmarks.options import count, seconds
from benchmarks.rounds import Run, alternate
from benchmarks.serving import Command, Commands, Place
from benchmarks.tables import cell, table

LOADS = (tls_echo(64, 125, 1), tls_echo(64, 125, 8), Workload(Section.TLS, "storm", 32))


def by_uvloop(place: Place) -> list[Command]:
    words: list[str | Path] = [sys.executable, "-m", "benchmarks.uvloop_tls"]
    return [Command([*words, str(place.port), *place.files], place.port)]


def mapping(place: Place) -> list[Command]:
    (command,) = by_uvloop(place)
    return [replace(command, environment={"MALLOC_MMAP_THRESHOLD_": "131072"})]


def row(name: str, commands: Commands) -> Contestant:
    return Contestant(name, name, ("shardws",), commands, frozenset({Section.TLS}))


OURS = row("ours", contestants.ours())
CONTESTANTS = (OURS, row("uvloop's", by_uvloop), row("uvloop's, mapping", mapping))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=count, default=3, help="(%(default)s)")
    parser.add_argument("--seconds", type=seconds, default=1.5, help="of a load (%(default)s)")
    parser.add_argument("--idle", type=count, default=1000, help="connections (%(default)s)")


def shown(runs: Sequence[Run], contestant: Contestant, workload: Workload) -> str:
    """A figure, followed by the ratio of our best to its best, which noise affects least."""
    figure = figures.main_figure(workload)
    ours = figures.spread(runs, OURS.name, workload, figure)
    found = figures.spread(runs, contestant.name, workload, figure)
    ratio = f"; {ours.low / found.low:.2f}" if ours and found and contestant is not OURS else ""
    return cell(found) + ratio


def lines(runs: Sequence[Run], workloads: Sequence[Workload]) -> list[str]:
    """The table of all figures."""
    rows = [
        [f"{report.figure_name(load)}: {load.title}", *(shown(runs, x, load) for x in CONTESTANTS)]
        for load in workloads
    ]
    return table(["TLS; best of ours by best of it", *(one.name for one in CONTESTANTS)], rows)


def say(run: Run) -> None:
    print(report.line(run), file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> int:
    """Raises CannotRun."""
    generator.prepare()
    workloads = (Workload(Section.TLS, "hold", args.idle), *LOADS)
    runs = alternate(
        CONTESTANTS, [Section.TLS], Matrix("tls", workloads, args.rounds, args.seconds), say
    )
    print("\n".join([*lines(runs, workloads), ""]))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        print("\n".join(tls_handshakes.lines(*certificate.make(Path(name)))))
    return 1 if figures.failures(runs) else 0
