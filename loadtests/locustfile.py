"""The locust file: the users, the load shape named by SHAPE, the gates as options.

    python -m locust -f loadtests/locustfile.py --headless --host ws://127.0.0.1:9001 -u 40 -t 30s

Names of user classes after the options select some of them. At the end of the run the gates are
checked; a missed one makes the exit code 1. The generator's CPU use is printed with them.
"""

import os
import time
from dataclasses import dataclass
from typing import Any

from locust import LoadTestShape, events
from locust.runners import MasterRunner, WorkerRunner

from loadtests import gates, shapes
from loadtests.users import Broadcast, CrossShardPair, Echo, Reconnector, SlowReader

__all__ = ["Broadcast", "CrossShardPair", "Echo", "Reconnector", "SlowReader"]

# What a user class must have achieved for the run to be a success.
ACHIEVEMENTS = {
    "Echo": "echo",
    "CrossShardPair": "cross-shard send",
    "Broadcast": "broadcast delivery",
    "SlowReader": "slow reader catches up",
    "Reconnector": "first echo",
}


@dataclass
class Clock:
    """CPU seconds and wall seconds of this process when the users started."""

    cpu_s: float
    wall_s: float

    @classmethod
    def now(cls) -> "Clock":
        return cls(time.process_time(), time.perf_counter())

    def start(self) -> None:
        self.cpu_s, self.wall_s = time.process_time(), time.perf_counter()

    def share(self) -> float:
        """CPU share of a core since then."""
        now = Clock.now()
        return (now.cpu_s - self.cpu_s) / max(now.wall_s - self.wall_s, 1e-9)


def add_options(parser: Any) -> None:
    group = parser.add_argument_group("shardws", "gates, and certificates for wss://")
    group.add_argument("--max-error-rate", type=float, default=0.001, help="share of requests, 0-1")
    group.add_argument("--max-p95", type=float, default=250.0, help="milliseconds, of each entry")
    group.add_argument(
        "--ca-file", default="", help="PEM file of the CA of the server's certificate"
    )
    group.add_argument("--insecure", action="store_true", help="accept any certificate")


def prepare(environment: Any, **_: object) -> None:
    """Measure the generator from the start of the users to their end, then check the gates."""
    options = environment.parsed_options
    limits = gates.Gates(options.max_error_rate, options.max_p95)
    clock = Clock.now()
    shares: dict[str, float] = {}

    def on_test_start(**_: object) -> None:
        clock.start()

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        data["generator_cpu"] = clock.share()

    def on_worker_report(client_id: str, data: dict[str, Any], **_: object) -> None:
        shares[client_id] = data.get("generator_cpu", 0.0)

    def on_test_stop(**_: object) -> None:
        if not isinstance(environment.runner, MasterRunner):
            shares["process"] = clock.share()

    def on_quitting(**_: object) -> None:
        if not isinstance(environment.runner, WorkerRunner):
            judge(environment, limits, shares)

    for name, listener in {
        "test_start": on_test_start,
        "test_stop": on_test_stop,
        "quitting": on_quitting,
        "report_to_master": on_report_to_master,
        "worker_report": on_worker_report,
    }.items():
        getattr(environment.events, name).add_listener(listener)


def judge(environment: Any, limits: gates.Gates, shares: dict[str, float]) -> None:
    """Print the generator's CPU and the gates; set the exit code."""
    entries = [
        gates.Entry(
            entry.name,
            entry.num_requests,
            entry.num_failures,
            entry.get_response_time_percentile(0.95),
        )
        for entry in environment.stats.entries.values()
    ]
    chosen = [cls.__name__ for cls in environment.user_classes if cls.weight or cls.fixed_count]
    expected = [ACHIEVEMENTS[name] for name in chosen if name in ACHIEVEMENTS]
    exceptions = sum(one["count"] for one in environment.runner.exceptions.values())
    missed = gates.misses(entries, limits, expected, exceptions)
    for line in gates.generator_report(shares) + [f"GATE MISSED: {miss}" for miss in missed]:
        print(line)
    print("gates:", "missed" if missed else "passed")
    environment.process_exit_code = 1 if missed else 0


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(prepare)

if "SHAPE" in os.environ:
    STAGES = shapes.stages_of(
        os.environ["SHAPE"],
        int(os.environ.get("SHAPE_USERS", "40")),
        float(os.environ.get("SHAPE_SECONDS", "60")),
    )

    class Shape(LoadTestShape):
        """The stages, queried by locust once a second."""

        def tick(self) -> tuple[int, float] | None:
            stage = shapes.stage_at(STAGES, time.perf_counter() - self.start_time)
            return (stage.users, stage.spawn_rate) if stage else None
