"""From runs to figures: medians with their ranges, and ratios taken within each round.

Failed runs are not part of any figure and are listed separately.
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
    """The ratio to the base's figure, per round."""
    own, others = good(runs, contestant, workload), good(runs, base, workload)
    return Spread.of(
        own[number].figures[name] / others[number].figures[name]
        for number in own.keys() & others.keys()
        if others[number].figures.get(name, 0.0) > 0 and name in own[number].figures
    )


def main_figure(workload: Workload) -> str:
    """The name of a workload's main figure."""
    return "kib" if workload.mode == "hold" else "cpu_us"


def is_generator_the_limit(runs: Sequence[Run], contestant: str, workload: Workload) -> bool:
    """Whether the generator limited rate and latency: it was busy and the server was not."""
    client = spread(runs, contestant, workload, "client_share")
    server = spread(runs, contestant, workload, "server_share")
    return bool(client and server and client.middle >= SATURATED > server.middle)


def failures(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.failure]
