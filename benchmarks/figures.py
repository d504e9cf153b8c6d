"""From runs to figures: medians with their ranges, and ratios taken within each round.

Pure. Failed runs are in no figure and are listed apart.
"""

from collections.abc import Sequence

from benchmarks.matrix import Workload
from benchmarks.rounds import Run
from benchmarks.tables import Spread

SATURATED = 0.95  # above it the generator was the limit of rate and latency


def good(runs: Sequence[Run], contestant: str, workload: Workload) -> dict[int, Run]:
    """The good runs of one by the number of the round."""
    return {
        run.number: run
        for run in runs
        if run.contestant == contestant and run.workload == workload and not run.failure
    }


def spread(runs: Sequence[Run], contestant: str, workload: Workload, name: str) -> Spread | None:
    return Spread.of(
        run.figures[name]
        for run in good(runs, contestant, workload).values()
        if name in run.figures
    )


def ratio(
    runs: Sequence[Run], contestant: str, base: str, workload: Workload, name: str
) -> Spread | None:
    """How many times the base's figure, round by round."""
    own, others = good(runs, contestant, workload), good(runs, base, workload)
    return Spread.of(
        own[number].figures[name] / others[number].figures[name]
        for number in own.keys() & others.keys()
        if others[number].figures.get(name, 0.0) > 0 and name in own[number].figures
    )


def main_figure(workload: Workload) -> str:
    """The name of the figure that a workload is about."""
    return "kib" if workload.mode == "hold" else "cpu_us"


def is_generator_the_limit(runs: Sequence[Run], contestant: str, workload: Workload) -> bool:
    """Whether rate and latency are the generator's own: it was busy and the server was not."""
    client = spread(runs, contestant, workload, "client_share")
    server = spread(runs, contestant, workload, "server_share")
    return bool(client and server and client.middle >= SATURATED > server.middle)


def failures(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.failure]
