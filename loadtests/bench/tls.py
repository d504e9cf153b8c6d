"""TLS by itself: ours beside uvloop's, under the same server.

    python -m loadtests.bench.tls [--rounds N] [--seconds S] [--idle N]

Prints a table: CPU of the server for each message and each new connection, memory of an idle one.
Ours is started by `shardws run` with one shard, uvloop's by uvloop_tls.py; they alternate.

uvloop's TLS reads into a new object of 256 KiB each time. glibc maps and unmaps that, until the
process has freed something larger by chance: from then on it keeps the memory, and the reads are
cheap. So uvloop's is measured as it comes here, and with the threshold that glibc starts with.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from loadtests.bench import contestants, generator
from loadtests.bench.contestants import Command, Contestant, Place
from loadtests.bench.generator import RunFailed
from loadtests.bench.matrix import Matrix, Section, Workload, tls_echo
from loadtests.bench.rounds import Cores, figures_of, idle_memory, place_in, prime, start
from loadtests.serving import Processes, StartFailed

STORM = Workload(Section.TLS, "storm", 32)
LOADS = (tls_echo(64, 125, 1), tls_echo(64, 125, 8), STORM)


def by_uvloop(place: Place, threshold: str = "") -> list[Command]:
    words: list[str | Path] = [sys.executable, "-m", "loadtests.bench.uvloop_tls"]
    environment = {"MALLOC_MMAP_THRESHOLD_": threshold} if threshold else {}
    return [Command([*words, str(place.port), *place.files], place.port, environment)]


def row(name: str, commands: Callable[[Place], list[Command]]) -> Contestant:
    return Contestant(name, name, ("shardws",), commands, frozenset({Section.TLS}))


OURS = row("ours", contestants.shardws())
THEIRS = row("uvloop's", by_uvloop)
MAPPING = row("uvloop's, mapping", lambda place: by_uvloop(place, "131072"))
CONTESTANTS = (OURS, THEIRS, MAPPING)
Figures = dict[tuple[str, str], list[float]]  # by contestant and name of the figure


def one_start(
    contestant: Contestant, matrix: Matrix, idle: int
) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Yield name, value and further figures; memory first, since it needs a fresh process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes() as processes:
        place = place_in(Path(name), Section.TLS)
        target = start(contestant, place, processes, Cores.of_this_machine())
        crowd = Workload(Section.TLS, "hold", idle)
        prime(Section.TLS, target)
        memory = idle_memory(crowd, target, processes)
        yield "KiB of an idle connection", memory["kib"], {}
        for workload in matrix.workloads:
            figures = figures_of(generator.measure(workload, target, matrix))
            title = "connect and leave" if workload is STORM else workload.shape
            yield f"CPU us, {title}", figures["cpu_us"], figures


def collect(matrix: Matrix, idle: int) -> Figures:
    """Run all rounds."""
    found: Figures = {}
    for number in range(matrix.rounds):
        for contestant in CONTESTANTS:
            for name, value, figures in one_start(contestant, matrix, idle):
                found.setdefault((contestant.name, name), []).append(value)
                shares = [f"{key} {figures[key]:.2f}" for key in figures if key.endswith("share")]
                rate = f"{figures['rate']:.0f}/s" if figures else ""
                words = [f"round {number}", contestant.name, name, f"{value:.1f}", rate, *shares]
                sys.stderr.write("  ".join(words) + "\n")
    return found


def table(found: Figures) -> str:
    """Return medians; of uvloop's in parentheses what ours is of it."""
    lines = ["| | " + " | ".join(one.name for one in CONTESTANTS) + " |", "|---|---|---|---|"]
    for name in dict.fromkeys(name for _, name in found):
        ours, *others = (statistics.median(found[one.name, name]) for one in CONTESTANTS)
        cells = [f"{ours:.1f}", *(f"{other:.1f} ({ours / other:.2f})" for other in others)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.tls", description=__doc__)
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
    sys.stdout.write(table(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
