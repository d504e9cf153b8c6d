"""The load generator: compiled from generator/*.c when needed, run, and its JSON output read.

It is written in C so that the server is the busy side and its own cost matters little. It reads the
CPU time of the server's processes itself, exactly when its measured time begins and ends.
"""

import json
import resource
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import CannotRun, RunFailed
from benchmarks.matrix import Workload

SOURCES = Path(__file__).resolve().parent / "generator"
PROGRAM = SOURCES.parent.parent / "build" / "bench" / "generator"
FLAGS = ["-std=gnu11", "-O3", "-march=native"]
BUILD_LIMIT_S = 120
DRAIN_S = 10.0
BEYOND_S = 50.0  # connecting has a limit of 30 s in main.c, draining the above


@dataclass(frozen=True)
class Target:
    """The server under load: its ports and all its processes."""

    port: int
    pids: Sequence[int]
    port2: int = 0
    cores: Sequence[int] = ()  # where the generator runs; empty: anywhere


@dataclass(frozen=True)
class Load:
    """The generator's figures of the measured time; CPU in seconds, latency in us."""

    messages: int
    seconds: float
    server_cpu_s: float
    client_cpu_s: float
    p50_us: float
    p99_us: float

    @property
    def cpu_us(self) -> float:
        """The server's CPU time per message."""
        return self.server_cpu_s / self.messages * 1e6

    def figures(self) -> dict[str, float]:
        """The figures of a report by name; shares are of a core."""
        return {
            "cpu_us": self.cpu_us,
            "rate": self.messages / self.seconds,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "server_share": self.server_cpu_s / self.seconds,
            "client_share": self.client_cpu_s / self.seconds,
        }


def prepare() -> None:
    """Build it, and raise the descriptor limit, which it and the servers inherit; as build()."""
    build()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def build() -> None:
    """Compile if needed; raises CannotRun when there is no compiler or it fails."""
    sources = sorted(SOURCES.glob("*.c"))
    newest = max(file.stat().st_mtime for file in SOURCES.iterdir())
    if PROGRAM.exists() and PROGRAM.stat().st_mtime >= newest:
        return
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    words = ["cc", *FLAGS, "-o", str(PROGRAM), *map(str, sources), "-ldl"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"the load generator is C and needs a compiler, cc: {error}") from error
    if done.returncode:
        raise CannotRun(f"cc: {done.stderr[-2000:]}")


def command(mode: str, target: Target, options: Sequence[str]) -> list[str]:
    pinning = ["taskset", "-c", ",".join(map(str, target.cores))] if target.cores else []
    words = [*pinning, str(PROGRAM), mode, "--port", str(target.port), *options]
    words += ["--pids", ",".join(map(str, target.pids))]
    return [*words, "--port2", str(target.port2)] if target.port2 else words


def parsed(line: str, errors: str = "") -> dict[str, Any]:
    """The object in a line of output; raises RunFailed when it reports an error or nothing."""
    try:
        figures: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise RunFailed(f"no figures: {line[-200:]} {errors[-200:]}".strip()) from error
    if not figures.get("ok"):
        raise RunFailed(str(figures.get("error", "no reason given")))
    return figures


def run(
    workload: Workload, target: Target, seconds: float, warmup_s: float, drain_s: float = DRAIN_S
) -> Load:
    """One measured load; messages not back `drain_s` after it are lost. Raises RunFailed."""
    times = ["--seconds", str(seconds), "--warmup", str(warmup_s), "--drain", str(drain_s)]
    try:
        done = subprocess.run(
            command(workload.mode, target, [*workload.options, *times]),
            capture_output=True,
            text=True,
            timeout=seconds + warmup_s + BEYOND_S,
        )
    except subprocess.TimeoutExpired as error:
        raise RunFailed("the load generator did not end") from error
    figures = parsed(done.stdout, done.stderr)
    return Load(**{name: figures[name] for name in Load.__dataclass_fields__})


class Held:
    """Idle connections held by a generator."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.connect_s = float(self._told()["seconds"])

    def pings(self) -> int:
        """The number of pings received so far; raises RunFailed when a connection was lost."""
        stdin = self.process.stdin
        assert stdin is not None  # stdin is PIPE
        with suppress(BrokenPipeError):  # its output says why
            stdin.write("?")
            stdin.flush()
        return int(self._told()["pings"])

    def end(self) -> None:
        assert self.process.stdin is not None  # stdin is PIPE
        self.process.stdin.close()
        self._told()

    def _told(self) -> dict[str, Any]:
        assert self.process.stdout is not None  # stdout is PIPE
        return parsed(self.process.stdout.readline())


@contextmanager
def held(workload: Workload, target: Target) -> Iterator[Held]:
    """Idle connections inside the block; raises RunFailed unless all are there at its end.

    The generator ends by itself after five minutes, so no read here waits forever.
    """
    words = command(workload.mode, target, workload.options)
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            found = Held(process)
            yield found
            found.end()
        finally:
            process.kill()
