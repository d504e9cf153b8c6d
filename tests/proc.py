"""What /proc tells of other processes, for all tests.

A process, a thread or a descriptor may be gone between two reads, so every reader here takes what
vanished as absent: `""`, an empty list, or False. Tests read /proc of other processes only here.
"""

import contextlib
import os
from pathlib import Path

PROC = Path("/proc")


def read(pid: int, name: str) -> str:
    """Return the text of /proc/PID/NAME; "" when the process or the file is gone."""
    # ESRCH comes from a file that was opened just before its process was reaped.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return (PROC / str(pid) / name).read_text()
    return ""


def pids() -> list[int]:
    """Return the pids of all processes of this namespace."""
    return [int(entry) for entry in os.listdir(PROC) if entry.isdecimal()]


def children_of(pid: int) -> list[int]:
    return [int(word) for word in read(pid, f"task/{pid}/children").split()]


def workers_of(pid: int) -> list[int]:
    """Return the children of a supervisor but the keepers, which have their shard's descriptors."""
    return [one for one in children_of(pid) if read(one, "comm").strip() != "shardws-keeper"]


def state_of(pid: int) -> str:
    """Return the letter of a process's state (proc_pid_stat(5)), "" when it is gone."""
    return read(pid, "stat").rpartition(")")[2].strip()[:1]


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    return state_of(pid) not in ("", "Z")


def is_stopped(pid: int) -> bool:
    return state_of(pid) == "T"


def is_sleeping(pid: int) -> bool:
    """Tell whether a process is in time.sleep(), and not in its event loop."""
    return "hrtimer_nanosleep" in read(pid, "wchan")


def descriptors_of(pid: int) -> list[str]:
    """Return what the open descriptors of a process refer to, as the kernel names it."""
    links: list[str] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(PROC / str(pid) / "fd"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                links.append(os.readlink(PROC / str(pid) / "fd" / name))
    return links


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int((PROC / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
