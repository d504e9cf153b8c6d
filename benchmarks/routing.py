"""What it costs that the other connection is on another shard: `make bench-routing`.

    python -m benchmarks.routing [--pairs 64] [--rounds N] [--seconds S]

One server of two shards, each with half of the connections. The demo's message from one connection
to another, 100 B of JSON, is sent between two shards, then between connections of one shard, round
by round, with all else alike: reading, JSON, `send_text`, writing. The difference of the CPU of all
its processes is the cross-shard send: one more look-up, the message through a link, the wait for
news of a failure, and the socket between the shards on both sides. With 16 on the way the median
has to be within BUDGET_US: the exit code is 1 when it is not or a run failed, 2 for wrong options.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import generator
from benchmarks.figures import Spread
from benchmarks.generator import RunFailed
from benchmarks.matrix import Section, Workload
from benchmarks.report import table
from benchmarks.rounds import figures_of
from benchmarks.scaling.serving import Server, serving
from loadtests.serving import StartFailed, end_on_term

BUDGET_US = 4.0  # summed over both shards
BUDGET_DEPTH = 16
DEPTHS = (1, 16)
SIZE = 100
SHARDS = 2
WARMUP_S = 0.3
USAGE = 2
APART = ("--matched",)
TOGETHER = ("--together",)


@dataclass(frozen=True)
class Round:
    """CPU us per message with the halves of pairs on two shards, and on one."""

    depth: int
    apart: float
    together: float

    @property
    def difference(self) -> float:
        return self.apart - self.together


def cost(server: Server, pairs: int, depth: int, seconds: float, flags: tuple[str, ...]) -> float:
    """CPU us per message; raises RunFailed."""
    load = Workload(Section.CROSS, "pair", pairs, SIZE, depth, is_text=True, flags=flags)
    return figures_of(generator.run(load, server.target(()), seconds, WARMUP_S))["cpu_us"]


def measure(pairs: int, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Round]:
    """All rounds against one start; raises RunFailed, StartFailed."""
    found = []
    with serving(SHARDS) as server:
        cost(server, pairs, BUDGET_DEPTH, WARMUP_S, APART)
        for _ in range(rounds):
            for depth in DEPTHS:
                apart = cost(server, pairs, depth, seconds, APART)
                found.append(Round(depth, apart, cost(server, pairs, depth, seconds, TOGETHER)))
                say(f"depth {depth:2}: {apart:.2f} us apart, {found[-1].together:.2f} us together")
        server.check()
    return found


def spread(rounds: Sequence[Round], depth: int, name: str) -> Spread:
    """Of one figure; ValueError when there is no round of that depth."""
    made = Spread.of(getattr(one, name) for one in rounds if one.depth == depth)
    if made is None:
        raise ValueError(f"nothing was measured with {depth} on the way")
    return made


def lines(rounds: Sequence[Round]) -> list[str]:
    """The table: medians with their ranges, CPU us per message."""
    names = ("apart", "together", "difference")
    rows = [
        [str(depth), *(spread(rounds, depth, name).text(2) for name in names)] for depth in DEPTHS
    ]
    return table(["on the way", "two shards", "one shard", "the cross-shard send"], rows)


def verdict(rounds: Sequence[Round]) -> int:
    """Say whether the budget holds; the exit code."""
    found = spread(rounds, BUDGET_DEPTH, "difference").middle
    is_held = found <= BUDGET_US
    word = "held" if is_held else "MISSED"
    print(f"bench-routing: {found:.2f} us of {BUDGET_US:g} us, {word}")
    return 0 if is_held else 1


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench-routing", description=__doc__)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a measured load")
    args = parser.parse_args(arguments)
    if args.pairs < SHARDS or args.pairs % SHARDS or args.rounds < 1 or args.seconds <= 0:
        print("bench-routing: an even number of pairs, rounds and seconds above 0", file=sys.stderr)
        return USAGE
    try:
        generator.build()
        rounds = measure(args.pairs, args.rounds, args.seconds, print)
    except (RunFailed, StartFailed) as error:
        print(f"bench-routing: {error}", file=sys.stderr)
        return 1
    print("\n".join(["", *lines(rounds), ""]))
    return verdict(rounds)


if __name__ == "__main__":
    end_on_term()
    sys.exit(main(sys.argv[1:]))
