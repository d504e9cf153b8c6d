"""Facts about the machine and the software that belong to the figures."""

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.packages import output

ASK_CODEC = "from shardws.protocol.codec import IMPLEMENTATION; print(IMPLEMENTATION)"


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
        """The percentage stolen since then."""
        now = Ticks.now()
        return 100 * (now.stolen - self.stolen) / max(now.all - self.all, 1)


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def facts() -> dict[str, str]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{cpu_model()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "compiler": output("cc", "--version").partition("\n")[0],
        "commit": output("git", "describe", "--always", "--dirty") or "unknown",
        "codec": output(sys.executable, "-c", ASK_CODEC),
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }
