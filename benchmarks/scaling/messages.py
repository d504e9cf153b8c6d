"""CPU per message as shards grow: of all shards, the supervisor and the acceptor.

Two questions. The same 64 connections on more and more shards: each has less to do per turn of its
loop, so less is batched. And the same number of connections per shard: what a machine with as many
cores would see. Echo has the server on one core and the generator on the other, as in `make
bench`; messages between shards use both, since they wake each other.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import generator
from benchmarks.matrix import Section, Workload
from benchmarks.serving import Cores, Server
from benchmarks.sharded import serving_shards
from benchmarks.tables import Sheet

FIXED = 64  # connections, or pairs
EACH = 64  # connections for each shard
WARMUP_S = 0.3
PRIME_S = 0.3
GREETED = ("--greeted",)
MATCHED = ("--matched",)
SECONDS_OF_START = 1.0

ECHO, ECHO_16 = "echo, depth 1", "echo, depth 16"
CROSS_ONE = "cross, one pair, depth 1"
CROSS, CROSS_16 = "cross, depth 1", "cross, depth 16"
EACH_ECHO, EACH_ECHO_16 = "echo each, depth 1", "echo each, depth 16"
EACH_CROSS_16 = "cross each, depth 16"
PUBLISH, PUBLISH_8 = "publish, depth 1", "publish, depth 8"
ACCEPTED = "busiest shard's connections to the idlest's"


@dataclass(frozen=True)
class Measured:
    """A load under the name of its column; the figure is CPU us for `per` messages."""

    column: str
    workload: Workload
    per: int = 1

    @property
    def is_alone(self) -> bool:
        """Whether the server has a core to itself."""
        return self.workload.mode == "echo"


def echo(connections: int, depth: int) -> Workload:
    return Workload(Section.ECHO, "echo", connections, 125, depth, flags=GREETED)


def cross(pairs: int, depth: int) -> Workload:
    return Workload(Section.CROSS, "pair", pairs, 100, depth, is_text=True, flags=MATCHED)


def publish(depth: int) -> Workload:
    return Workload(Section.BROADCAST, "broadcast", FIXED, 125, depth, True, GREETED)


def loads(shards: int) -> list[Measured]:
    """The loads for a server with that many shards."""
    each = EACH * shards
    return [
        Measured(ECHO, echo(FIXED, 1)),
        Measured(ECHO_16, echo(FIXED, 16)),
        Measured(CROSS_ONE, cross(1, 1)),
        Measured(CROSS, cross(FIXED, 1)),
        Measured(CROSS_16, cross(FIXED, 16)),
        Measured(EACH_ECHO, echo(each, 1)),
        Measured(EACH_ECHO_16, echo(each, 16)),
        Measured(EACH_CROSS_16, cross(each // 2, 16)),
        Measured(PUBLISH, publish(1), FIXED),
        Measured(PUBLISH_8, publish(8), FIXED),
    ]


def estimate_s(shards: Sequence[int], rounds: int, seconds: float) -> float:
    """The estimated duration in seconds."""
    one = seconds + WARMUP_S + 0.2
    return rounds * sum(SECONDS_OF_START + PRIME_S + one * len(loads(count)) for count in shards)


def one_load(server: Server, load: Measured, seconds: float) -> dict[str, float]:
    """Figures as in Load.figures; raises RunFailed."""
    cores = Cores.of_this_machine() if load.is_alone else Cores()
    server.run_on(cores.server or sorted(os.sched_getaffinity(0)))
    target = server.target(cores.generator)
    return generator.run(load.workload, target, seconds, WARMUP_S).figures()


def evenness(accepted: Sequence[int]) -> float:
    """The ratio of the most to the fewest connections of a shard."""
    return max(accepted) / max(min(accepted), 1)


def one_start(sheet: Sheet, shards: int, seconds: float, say: Callable[[str], None]) -> None:
    """All loads of one number of shards into the sheet; raises RunFailed."""
    with serving_shards(shards) as server:
        generator.run(echo(8, 4), server.target(), PRIME_S, 0.0)
        for load in loads(shards):
            figures = one_load(server, load, seconds)
            figure = figures["cpu_us"] * load.per
            sheet.add(load.column, shards, figure)
            say(
                f"{shards:3} shards  {load.column:24} {figure:9.2f} us  server "
                f"{figures['server_share']:.2f} client {figures['client_share']:.2f} of a core"
            )
        sheet.add(ACCEPTED, shards, evenness([slot["accepted"] for slot in server.slots()]))


def measure(
    shards: Sequence[int], rounds: int, seconds: float, say: Callable[[str], None]
) -> Sheet:
    """All rounds, each with every number of shards; raises RunFailed."""
    sheet = Sheet()
    for _ in range(rounds):
        for count in shards:
            one_start(sheet, count, seconds, say)
    return sheet
