"""Measure what a shard costs, print the tables, and put them into the page.

    python -m benchmarks.scaling [--parts messages,links,idle] [--shards 1,2,4,8,16]
        [--rounds N] [--seconds S] [--connections N] [--watch S] [--write FILE]

All of it takes about seven minutes. --write puts the tables into docs/topics/scaling.md; the part
that is computed needs all three. The exit code is 1 when a run failed, 2 for wrong options.
"""

import argparse
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generator, machine
from benchmarks.__main__ import raise_descriptor_limit, words
from benchmarks.generator import RunFailed
from benchmarks.scaling import idle, links, messages, page, picture
from benchmarks.scaling.forecast import Forecast
from loadtests.serving import StartFailed, end_on_term
from shardws.errors import ControlError

PARTS = ("messages", "links", "idle")
MOST_SHARDS = 60  # so many processes and their supervisor a generator can watch
LINKED = (32, 64)  # links are measured further than messages: two cores suffice for that
IDLE_SHARDS = 2
TARGET_SHARDS, TARGET_CONNECTIONS = 64, 1_000_000
USAGE = 2


def numbers(text: str) -> list[int]:
    return [int(word) for word in words(text)]


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    add = parser.add_argument
    add("--parts", type=words, default=list(PARTS), help=f"of {', '.join(PARTS)} (all)")
    add("--shards", type=numbers, default=[1, 2, 4, 8, 16], help="1,2,4,8,16; links also 32,64")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=1.0, help="of a measured load")
    add("--connections", type=int, default=18_000, help="that are held idle")
    add("--watch", type=float, default=40.0, help="seconds that they are watched")
    add("--write", type=Path, metavar="FILE", help="the page with the parts")
    return parser.parse_args(arguments)


def check(args: argparse.Namespace) -> None:
    """Raises ValueError."""
    for part in args.parts:
        if part not in PARTS:
            raise ValueError(f"no part {part!r}: one of {', '.join(PARTS)}")
    if not args.shards or not all(1 <= count <= MOST_SHARDS for count in args.shards):
        raise ValueError(f"shards are 1 to {MOST_SHARDS}")
    if min(args.rounds, args.connections) < 1 or min(args.seconds, args.watch) <= 0:
        raise ValueError("rounds, connections, seconds and watch are above 0")


def linked(args: argparse.Namespace) -> list[int]:
    return sorted({*args.shards, *LINKED})


def estimate_s(args: argparse.Namespace) -> float:
    """Seconds that all takes, about."""
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
    """Raises RunFailed, StartFailed, ControlError."""
    ticks, made = machine.Ticks.now(), {"machine": page.facts_lines(machine.facts())}
    found = Found(made)
    if "messages" in args.parts:
        costs = messages.measure(args.shards, args.rounds, args.seconds, say)
        made["messages"] = page.messages_lines(costs)
        found.picture = picture.svg(costs)
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
    """The page, and the picture beside it.

    Raises ValueError when the page lacks a part, OSError when it cannot be written.
    """
    text = file.read_text()
    for name, lines in found.lines.items():
        text = page.replaced(text, name, lines)
    file.write_text(text)
    if found.picture:
        file.with_suffix(".svg").write_text(found.picture)
    say(f"scaling: wrote {file}")


def run(args: argparse.Namespace) -> int:
    check(args)
    generator.build()
    raise_descriptor_limit()
    say(f"scaling: {', '.join(args.parts)}, about {estimate_s(args) / 60:.1f} min")
    found = measured(args)
    parts = ("\n".join([f"## {name}", "", *lines]) for name, lines in found.lines.items())
    say("\n" + "\n\n".join(parts))
    if args.write:
        write(args.write, found)
    return 0


def main() -> int:
    end_on_term()
    try:
        return run(parse_arguments(sys.argv[1:]))
    except (ValueError, OSError) as error:
        print(f"scaling: {error}", file=sys.stderr)
        return USAGE
    except (RunFailed, StartFailed, ControlError) as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
