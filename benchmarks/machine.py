"""Facts about the machine and the software that a reader of figures needs."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import PROJECT, PYTHON

ASK_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
ASK_CODEC = "from shardws.protocol.codec import BODY; print(BODY)"
ASK_LIMIT_S = 30


@dataclass(frozen=True)
class Ticks:
    """Clock ticks since boot, summed over the cores: stolen by the hypervisor, and all."""

    stolen: int
    all: int

    @classmethod
    def now(cls) -> "Ticks":
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        counts = [int(word) for word in words]
        return cls(counts[7], sum(counts))

    def stolen_percent(self) -> float:
        """The share that was stolen since then."""
        now = Ticks.now()
        return 100 * (now.stolen - self.stolen) / max(now.all - self.all, 1)


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def answer(*words: str | Path) -> str:
    """The output of a short program, "unknown" when it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            cwd=PROJECT,
            timeout=ASK_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def facts() -> dict[str, str]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{cpu_model()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "compiler": answer("cc", "--version").partition("\n")[0],
        "commit": answer("git", "describe", "--always", "--dirty"),
        "body of the codec": answer(sys.executable, "-c", ASK_CODEC),
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions as the contestants have them: shardws in our own environment, others in theirs."""
    return {
        package: answer(
            sys.executable if package == "shardws" else PYTHON, "-c", ASK_VERSION, package
        )
        for package in dict.fromkeys(packages)
    }
