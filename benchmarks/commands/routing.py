"""Measure what it costs that the other connection is on another shard.

One server of two shards, each with half of the connections. The demo's message from one connection
to another, 100 B of JSON, is sent between two shards, then between connections of one shard, round
by round, everything else being equal: reading, JSON, `send_text`, writing. The difference in CPU
time of all processes is the cost of a cross-shard send: one more look-up, the message through a
link, waiting for a failure report, and the socket between the shards on both sides. With 16 in
flight the median must be within BUDGET_US; otherwise the exit code is 1.
"""

import argparse

from benchmarks import generator
from benchmarks.errors import CannotRun
from benchmarks.matrix import Section, Workload
from benchmarks.options import count, seconds
from benchmarks.serving import Server
from benchmarks.sharded import serving_shards
from benchmarks.tables import Sheet

BUDGET_US = 4.0  # summed over both shards
BUDGET_DEPTH = 16
DEPTHS = (1, 16)
SIZE = 100
SHARDS = 2
WARMUP_S = 0.3
APART, TOGETHER, DIFFERENCE = COLUMNS = ("two shards", "one shard", "the cross-shard send")
FLAGS = {APART: ("--matched",), TOGETHER: ("--together",)}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=count, default=64, help="an even number (%(default)s)")
    parser.add_argument("--rounds", type=count, default=5, help="(%(default)s)")
    parser.add_argument("--seconds", type=seconds, default=1.0, help="of a load (%(default)s)")


def cost(server: Server, column: str, pairs: int, depth: int, seconds: float) -> float:
    """CPU us per message; raises RunFailed."""
    load = Workload(Section.CROSS, "pair", pairs, SIZE, depth, is_text=True, flags=FLAGS[column])
    return generator.run(load, server.target(), seconds, WARMUP_S).cpu_us


def new_sheet() -> Sheet:
    return Sheet("in flight", digits=2)


def add_round(sheet: Sheet, depth: int, apart: float, together: float) -> None:
    """CPU us per message with the halves of pairs on two shards, and on one."""
    for column, value in zip(COLUMNS, (apart, together, apart - together), strict=True):
        sheet.add(column, depth, value)


def measure(pairs: int, rounds: int, seconds: float) -> Sheet:
    """All rounds against one start; raises RunFailed."""
    sheet = new_sheet()
    with serving_shards(SHARDS) as server:
        cost(server, APART, pairs, BUDGET_DEPTH, WARMUP_S)
        for _ in range(rounds):
            for depth in DEPTHS:
                apart = cost(server, APART, pairs, depth, seconds)
                together = cost(server, TOGETHER, pairs, depth, seconds)
                add_round(sheet, depth, apart, together)
                print(f"depth {depth:2}: {apart:.2f} us apart, {together:.2f} together", flush=True)
    return sheet


def verdict(sheet: Sheet) -> int:
    """Print whether the budget is kept; return the exit code."""
    found = sheet.middle(DIFFERENCE, BUDGET_DEPTH)
    is_held = found <= BUDGET_US
    print(f"routing: {found:.2f} us of {BUDGET_US:g} us, {'held' if is_held else 'MISSED'}")
    return 0 if is_held else 1


def run(args: argparse.Namespace) -> int:
    """Raises CannotRun, RunFailed."""
    if args.pairs % SHARDS:
        raise CannotRun(f"an even number of pairs, not {args.pairs}")
    generator.prepare()
    sheet = measure(args.pairs, args.rounds, args.seconds)
    print("\n".join(["", *sheet.table(COLUMNS), ""]))
    return verdict(sheet)
