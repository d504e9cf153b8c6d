"""Processes that a measurement starts for itself: start, wait until it serves, stop.

Owns the processes that it starts and their log file, and ends only those, by their pid.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks import procfs
from benchmarks.errors import StartFailed

START_LIMIT_S = 20.0
STOP_LIMIT_S = 5.0
POLL_S = 0.02
LOG_TAIL = 800


def free_port() -> int:
    """A free TCP port; another program could take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_on_term() -> None:
    """Make TERM raise SystemExit, so that `finally` runs and no server is left; for programs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Processes:
    """Related processes; a context manager that ends them and their descendants."""

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        self.directory = tempfile.TemporaryDirectory(prefix="processes-")
        self.log = Path(self.directory.name) / "log.txt"

    def start(
        self,
        argv: Sequence[str | Path],
        ready: int | Path,
        *,
        cwd: Path | None = None,
        cores: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start one and wait until `ready` (a port, or a file) is available; raises StartFailed."""
        words = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
        try:
            with self.log.open("ab") as log:
                child = subprocess.Popen(
                    [*words, *map(str, argv)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=cwd,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
        except OSError as error:
            raise StartFailed(str(error)) from error
        self.children.append(child)
        self.wait_for(child, ready)

    def wait_for(self, child: subprocess.Popen[bytes], ready: int | Path) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise StartFailed(f"ended with {child.returncode}: {self.log_tail()}")
            if can_connect(ready) if isinstance(ready, int) else ready.exists():
                return
            time.sleep(POLL_S)
        raise StartFailed(f"not ready within {START_LIMIT_S:.0f} s: {self.log_tail()}")

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:].strip() if self.log.exists() else ""

    def pids(self) -> list[int]:
        """All current processes, including those that ours started."""
        return [pid for child in self.children for pid in procfs.process_tree(child.pid)]

    def cpu_seconds(self) -> float:
        return procfs.cpu_seconds(self.pids())

    def resident_kib(self) -> int:
        return procfs.memory_of_all(self.pids()).rss

    def stop(self) -> None:
        """Send TERM to our processes, KILL to those left after STOP_LIMIT_S, and wait for them."""
        births = {pid: procfs.birth(pid) for pid in self.pids()}
        for child in self.children:
            child.terminate()
        deadline = time.monotonic() + STOP_LIMIT_S
        for child in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        killed = [pid for pid, born in births.items() if born and procfs.birth(pid) == born]
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for child in self.children:
            child.wait()
        deadline = time.monotonic() + STOP_LIMIT_S
        while (
            any(procfs.birth(pid) == births[pid] for pid in killed) and time.monotonic() < deadline
        ):
            time.sleep(POLL_S)
        self.children.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.directory.cleanup()
