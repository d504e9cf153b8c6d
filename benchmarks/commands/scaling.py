"""Measure what shards, links and idle connections cost, and extrapolate to larger numbers.

Prints tables; --write puts them into the page docs/topics/scaling.md. All parts take about seven
minutes; the computed part needs all three measured parts.
"""

import argparse
import resource
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generator, machine
from benchmarks.errors import CannotRun
from benchmarks.options import check_names, count, counts, seconds, words
from benchmarks.scaling import idle, links, messages, page
from benchmarks.scaling.forecast import Forecast

PARTS = ("messages", "links", "idle")
MOST_SHARDS = 60  # the generator can watch that many processes and their supervisor
LINKED = (32, 64)  # links are measured up to more shards than messages: two cores suffice for that
IDLE_SHARDS = 2
TARGET_SHARDS, TARGET_CONNECTIONS = 64, 1_000_000


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--parts", type=words, default=list(PARTS), help=f"of {', '.join(PARTS)} (all)")
    add("--shards", type=counts, default=[1, 2, 4, 8, 16], help="1,2,4,8,16; links also 32,64")
    add("--rounds", type=count, default=3, help="(%(default)s)")
    add("--seconds", type=seconds, default=1.0, help="of a measured load (%(default)s)")
    add("--connections", type=count, default=18_000, help="idle connections (%(default)s)")
    add("--watch", type=seconds, default=40.0, help="for how long (%(default)s)")
    add("--write", type=Path, metavar="FILE", help="the page with the parts")


def check(args: argparse.Namespace) -> None:
    """Raises CannotRun."""
    check_names("part", args.parts, PARTS)
    if not args.shards or max(args.shards) > MOST_SHARDS:
        raise CannotRun(f"shards are 1 to {MOST_SHARDS}")
    if args.write and not args.write.is_file():
        raise CannotRun(f"no page {args.write}")


def linked(args: argparse.Namespace) -> list[int]:
    return sorted({*args.shards, *LINKED})


def estimate_s(args: argparse.Namespace) -> float:
    """The estimated duration in seconds."""
    times = {
        "messages": messages.estimate_s(args.shards, args.rounds, args.seconds),
        "links": links.estimate_s(linked(args), args.rounds),
        "idle": idle.estimate_s(args.watch),
    }
    return sum(times[part] for part in args.parts)


def say(line: str) -> None:
    print(line, flush=True)


@dataclass
class Found:
    """The lines of each part of the page by name, and the picture, "" for none."""

    lines: dict[str, list[str]]
    picture: str = ""


def measured(args: argparse.Namespace) -> Found:
    """Raises RunFailed."""
    ticks, made = machine.Ticks.now(), {"machine": page.facts_lines(machine.facts())}
    found = Found(made)
    if "messages" in args.parts:
        costs = messages.measure(args.shards, args.rounds, args.seconds, say)
        made["messages"] = page.messages_lines(costs)
        found.picture = page.picture(costs)
    if "links" in args.parts:
        mesh = links.measure(linked(args), args.rounds, say)
        made["links"] = page.links_lines(mesh)
    if "idle" in args.parts:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        idle.check_descriptors(args.connections, IDLE_SHARDS, limit)
        crowd = idle.measure(args.connections, IDLE_SHARDS, args.watch, say)
        made["idle"] = page.idle_lines(crowd)
    if set(args.parts) == set(PARTS):
        far = Forecast(TARGET_SHARDS, TARGET_CONNECTIONS, costs, mesh, crowd)
        made["computed"] = far.table()
    made["machine"].append(f"- stolen by the hypervisor: {ticks.stolen_percent():.1f} %")
    return found


def write(file: Path, found: Found) -> None:
    """The page, and the picture beside it; raises CannotRun when the page lacks a part."""
    text = file.read_text()
    for name, lines in found.lines.items():
        text = page.replaced(text, name, lines)
    file.write_text(text)
    if found.picture:
        file.with_suffix(".svg").write_text(found.picture)
    say(f"scaling: wrote {file}")


def run(args: argparse.Namespace) -> int:
    """Raises CannotRun, RunFailed."""
    check(args)
    generator.prepare()
    say(f"scaling: {', '.join(args.parts)}, about {estimate_s(args) / 60:.1f} min")
    found = measured(args)
    parts = ("\n".join([f"## {name}", "", *lines]) for name, lines in found.lines.items())
    say("\n" + "\n\n".join(parts))
    if args.write:
        write(args.write, found)
    return 0
