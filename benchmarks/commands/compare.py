"""Compare this server with others, side by side, in one run.

Prints tables; --write writes benchmarks.md and benchmarks.svg to a directory. Contestants whose
tools are missing are listed and skipped.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import contestants, figures, generator, machine, matrix, report
from benchmarks.contestants import Contestant
from benchmarks.matrix import STARTS, Matrix, Section, Workload
from benchmarks.options import check_names, count, seconds, words
from benchmarks.rounds import Run, alternate

# For the estimate of the total time.
START_S = 2.0
HELD_S = 1.5
CONNECTING_S = 0.2
PICTURE = "benchmarks.svg"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--matrix", choices=list(matrix.MATRICES), default="default", help="what is measured")
    add("--sections", type=words, default=[], help=f"of {', '.join(Section)} (all)")
    names = ", ".join(one.name for one in contestants.CONTESTANTS)
    add("--contestants", type=words, default=[], help=f"of {names} (those of the matrix)")
    add("--rounds", type=count, help="instead of the matrix's number")
    add("--seconds", type=seconds, help="of a measured load, instead of the matrix's")
    add("--write", type=Path, metavar="DIR", help="write benchmarks.md and benchmarks.svg there")
    add("--json", type=Path, metavar="FILE", help="write all runs there")


def chosen_matrix(args: argparse.Namespace) -> Matrix:
    found = matrix.MATRICES[args.matrix]()
    rounds, seconds = args.rounds or found.rounds, args.seconds or found.seconds
    return replace(found, rounds=rounds, seconds=seconds)


def chosen_sections(names: Sequence[str]) -> list[Section]:
    """In their order; raises CannotRun."""
    check_names("section", names, list(Section))
    return [one for one in Section if not names or one in names]


def seconds_of(workload: Workload, chosen: Matrix) -> float:
    return HELD_S if workload.mode == "hold" else chosen.seconds + chosen.warmup_s + CONNECTING_S


def estimate_s(found: Sequence[Contestant], sections: Sequence[Section], chosen: Matrix) -> float:
    """The estimated duration of the whole run in seconds."""
    total = 0.0
    for one in found:
        for kinds in STARTS:
            served = set(kinds) & set(sections) & one.sections
            loads = [load for load in chosen.workloads if load.section in served]
            total += START_S * bool(loads) + sum(seconds_of(load, chosen) for load in loads)
    return total * chosen.rounds


def say(run: Run) -> None:
    print(report.line(run), flush=True)


def write_json(file: Path, made: report.Report) -> None:
    content = {
        "matrix": made.matrix.name,
        "facts": dict(made.facts),
        "versions": {one.name: one.versions() for one in made.contestants},
        "skipped": list(made.skipped),
        "runs": [asdict(run) for run in made.runs],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n")


def write_page(directory: Path, made: report.Report) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / PICTURE).write_text(report.picture(made))
    (directory / "benchmarks.md").write_text(report.page(made, PICTURE))
    print(f"compare: wrote {directory / 'benchmarks.md'} and {PICTURE}")


def run(args: argparse.Namespace) -> int:
    """Measure, print, write; raises CannotRun."""
    chosen, sections = chosen_matrix(args), chosen_sections(args.sections)
    asked = contestants.choose(args.contestants, args.matrix)
    skipped = [reason for one in asked if (reason := one.missing())]
    found = [one for one in asked if not one.missing()]
    for reason in skipped:
        print(f"compare: left out: {reason}")
    generator.prepare()
    minutes = estimate_s(found, sections, chosen) / 60
    print(f"compare: {chosen.name} matrix, {chosen.rounds} rounds, about {minutes:.0f} min")
    facts = machine.facts()
    ticks = machine.Ticks.now()
    runs = alternate(found, sections, chosen, say)
    facts["stolen by the hypervisor"] = f"{ticks.stolen_percent():.1f} %"
    made = report.Report(chosen, found, runs, facts, skipped)
    print("\n" + report.tables(made))
    if args.json:
        write_json(args.json, made)
    if args.write:
        write_page(args.write, made)
    return 1 if figures.failures(runs) or not runs else 0
