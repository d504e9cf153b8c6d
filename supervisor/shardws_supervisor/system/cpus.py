"""How many CPUs and how much memory this process may use.

Reads the CPU affinity and the cgroup's limits: a container with a quota of two CPUs on a machine of
64 shows 64 CPUs everywhere else. cgroup v2 keeps the quota in `cpu.max` ("max 100000" or "150000
100000") and the memory in `memory.max`, v1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`, and in
`memory.limit_in_bytes`; every group on the path to the root may set one, and the smallest applies.
"""

import math
import os
from pathlib import Path, PurePosixPath

# So that sends between shards are exercised everywhere, and one crash does not hit all clients.
MINIMUM = 2
GROUPS = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 1 << 60  # v1 expresses "no limit" by a number above all memory


def automatic_shards(limit: int) -> int:
    """Return the shards for `--shards auto`: one per usable CPU, at least 2, at most `limit`."""
    affinity = len(os.sched_getaffinity(0))
    return shards_for(affinity, quota(GROUPS, ROOT), limit)


def shards_for(affinity: int, allowed: float | None, limit: int) -> int:
    """Return the shards for a number of CPUs and a quota in CPUs, rounded up."""
    cpus = affinity if allowed is None else min(affinity, math.ceil(allowed))
    return min(limit, max(MINIMUM, cpus))


def quota(groups: Path, root: Path) -> float | None:
    """Return the cgroup's CPU quota in CPUs, None when there is none."""
    found = [
        _quota_v2(folder / "cpu.max") if is_v2 else _quota_v1(folder)
        for is_v2, folder in _folders(groups, root, "cpu")
    ]
    return min((value for value in found if value), default=None)


def memory_limit(groups: Path = GROUPS, root: Path = ROOT) -> int | None:
    """Return the cgroup's memory limit in bytes, None when there is none."""
    found = [
        _memory(folder / ("memory.max" if is_v2 else "memory.limit_in_bytes"))
        for is_v2, folder in _folders(groups, root, "memory")
    ]
    return min((value for value in found if value), default=None)


def _folders(groups: Path, root: Path, controller: str) -> list[tuple[bool, Path]]:
    """Return the groups from /proc/self/cgroup up to the root, and whether each is of v2."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            found += [(True, root / part) for part in _upwards(path)]
        elif controller in controllers.split(","):
            found += [(False, root / controller / part) for part in _upwards(path)]
    return found


def _memory(file: Path) -> int | None:
    try:
        allowed = int(file.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None
    return allowed if 0 < allowed < NO_LIMIT else None


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
