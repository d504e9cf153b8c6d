"""`make bench`: this server and others, side by side, in one run.

    python -m benchmarks [--matrix quick|default|full] [--sections echo,storm]
        [--contestants picows,websockets] [--rounds N] [--seconds S] [--write docs] [--json FILE]

Prints tables; --write puts benchmarks.md and benchmarks.svg into a directory. The exit code is 1
when a run failed, 2 when nothing could be run.
"""

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import contestants, figures, generator, machine, matrix, plot, report
from benchmarks.contestants import Contestant
from benchmarks.generator import RunFailed
from benchmarks.matrix import STARTS, Matrix, Section, Workload
from benchmarks.rounds import Run, alternate
from loadtests.serving import end_on_term

USAGE = 2
# For the estimate of the time that all takes.
START_S = 2.0
HELD_S = 1.5
CONNECTING_S = 0.2
PICTURE = "benchmarks.svg"


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    add = parser.add_argument
    add("--matrix", choices=list(matrix.MATRICES), default="default")
    add("--sections", type=words, default=[], help=f"of {', '.join(Section)} (all)")
    add("--contestants", type=words, default=[], help="besides shardws (all of the matrix)")
    add("--rounds", type=int, default=0, help="instead of the matrix's number")
    add("--seconds", type=float, default=0.0, help="of a measured load, instead of the matrix's")
    add("--write", type=Path, metavar="DIR", help="write benchmarks.md and benchmarks.svg there")
    add("--json", type=Path, metavar="FILE", help="write all runs there")
    return parser.parse_args(arguments)


def chosen_matrix(args: argparse.Namespace) -> Matrix:
    found = matrix.MATRICES[args.matrix]()
    if args.rounds < 0 or args.seconds < 0:
        raise ValueError("rounds and seconds are above 0")
    rounds, seconds = args.rounds or found.rounds, args.seconds or found.seconds
    return replace(found, rounds=rounds, seconds=seconds)


def chosen_sections(names: Sequence[str]) -> list[Section]:
    for name in names:
        if name not in list(Section):
            raise ValueError(f"no section {name!r}: one of {', '.join(Section)}")
    return [one for one in Section if not names or one in names]


def leave_out(
    found: Sequence[Contestant], sections: Sequence[Section]
) -> tuple[list[Contestant], list[Section], list[str]]:
    """What can run here, and the reasons why the rest cannot."""
    reasons = [reason for one in found if (reason := one.missing())]
    left = [one for one in found if not one.missing()]
    kept = list(sections)
    if Section.TLS in kept and not serves_tls():
        kept.remove(Section.TLS)
        reasons.append("tls: this server does not serve TLS yet")
    return left, kept, reasons


def serves_tls() -> bool:
    """Whether the settings of TLS have an effect by now."""
    from shardws.settings import table  # late: the list of options needs no server

    return not getattr(table.SSL_CERT_STORE, "later", False)


def raise_descriptor_limit() -> None:
    """Servers and the generator inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def seconds_of(workload: Workload, chosen: Matrix) -> float:
    return HELD_S if workload.mode == "hold" else chosen.seconds + chosen.warmup_s + CONNECTING_S


def estimate_s(found: Sequence[Contestant], sections: Sequence[Section], chosen: Matrix) -> float:
    """Seconds that the whole run takes, about."""
    total = 0.0
    for one in found:
        for kinds in STARTS:
            served = set(kinds) & set(sections) & one.sections
            loads = [load for load in chosen.workloads if load.section in served]
            total += START_S * bool(loads) + sum(seconds_of(load, chosen) for load in loads)
    return total * chosen.rounds


def say(run: Run) -> None:
    """One line as a run is done."""
    name = figures.main_figure(run.workload)
    result = run.failure or f"{run.figures[name]:9.2f} {name}"
    if "client_share" in run.figures:
        result += f"  server {run.figures['server_share']:.2f} client"
        result += f" {run.figures['client_share']:.2f} of a core"
    title = f"{run.workload.section}: {run.workload.title}"
    print(f"{run.number + 1}  {run.contestant:16} {title:50} {result}", flush=True)


def write_json(file: Path, made: report.Report) -> None:
    content = {
        "matrix": made.matrix.name,
        "facts": dict(made.facts),
        "versions": dict(made.versions),
        "skipped": list(made.skipped),
        "runs": [asdict(run) for run in made.runs],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n")


def write_page(directory: Path, made: report.Report) -> None:
    names = [one.name for one in made.contestants]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / PICTURE).write_text(plot.svg(made.runs, names))
    (directory / "benchmarks.md").write_text(report.page(made, PICTURE))
    print(f"bench: wrote {directory / 'benchmarks.md'} and {PICTURE}")


def compare(args: argparse.Namespace) -> int:
    """Measure, print, write; raises ValueError for options, RunFailed without a generator."""
    chosen = chosen_matrix(args)
    asked = contestants.choose(args.contestants, args.matrix)
    found, sections, skipped = leave_out(asked, chosen_sections(args.sections))
    for reason in skipped:
        print(f"bench: left out: {reason}")
    generator.build()
    raise_descriptor_limit()
    minutes = estimate_s(found, sections, chosen) / 60
    print(f"bench: {chosen.name} matrix, {chosen.rounds} rounds, about {minutes:.0f} min")
    facts = machine.facts()
    ticks = machine.Ticks.now()
    runs = alternate(found, sections, chosen, say)
    facts["stolen by the hypervisor"] = f"{ticks.stolen_percent():.1f} %"
    packages = machine.versions(name for one in found for name in one.packages)
    made = report.Report(chosen, found, runs, facts, packages, skipped)
    print("\n" + report.tables(made))
    if args.json:
        write_json(args.json, made)
    if args.write:
        write_page(args.write, made)
    return 1 if figures.failures(runs) or not runs else 0


def main() -> int:
    end_on_term()
    try:
        return compare(parse_arguments(sys.argv[1:]))
    except (ValueError, RunFailed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
