"""How many CPUs this process may really use.

Owns the reading of affinity and of the cgroup's quota; knows no shard. A container with a quota of
two CPUs on a machine of 64 shows 64 CPUs everywhere else. cgroup v2 keeps the quota in `cpu.max`
("max 100000" or "150000 100000"), v1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`; every group on
the way up to the root may set one, and the smallest counts.
"""

import math
import os
from pathlib import Path, PurePosixPath

MINIMUM = 2  # so that sends between shards are exercised everywhere, and one crash is not all
GROUPS = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def automatic_shards(limit: int) -> int:
    """Return what `--shards auto` means: one per usable CPU, at least 2, at most `limit`."""
    affinity = len(os.sched_getaffinity(0))
    return shards_for(affinity, quota(GROUPS, ROOT), limit)


def shards_for(affinity: int, allowed: float | None, limit: int) -> int:
    """Return the shards for so many CPUs and a quota in CPUs, rounded up."""
    cpus = affinity if allowed is None else min(affinity, math.ceil(allowed))
    return min(limit, max(MINIMUM, cpus))


def quota(groups: Path, root: Path) -> float | None:
    """Return the cgroup's CPU quota in CPUs, None when there is none."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return None
    found = [
        value for line in lines for value in _quotas_of(line, root) if value is not None and value
    ]
    return min(found, default=None)


def _quotas_of(line: str, root: Path) -> list[float | None]:
    """Return the quotas on the way from one line of /proc/self/cgroup up to the root."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if not controllers:
        return [_quota_v2(root / part / "cpu.max") for part in _upwards(path)]
    if "cpu" in controllers.split(","):
        base = root / "cpu"
        return [_quota_v1(base / part) for part in _upwards(path)]
    return []


def _upwards(path: str) -> list[str]:
    here = PurePosixPath(path.lstrip("/"))
    return [str(part) for part in (here, *here.parents)]


def _quota_v2(file: Path) -> float | None:
    try:
        allowed, _, period = file.read_text().strip().partition(" ")
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        allowed = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return None if allowed <= 0 else allowed / period
    except (OSError, ValueError, ZeroDivisionError):
        return None
