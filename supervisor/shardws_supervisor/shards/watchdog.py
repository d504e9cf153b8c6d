"""The watchdog: aborts or kills a shard that is late in its state or whose event loop is blocked.

The heartbeat is written by the shard's own loop, never by a thread, so a handler that blocks stops
it. When it is late the shard gets ABRT, and faulthandler writes the stacks of all its threads;
ABORT_GRACE seconds later it gets KILL. A supervisor that was itself stopped (SIGSTOP, a suspended
machine) must not kill its shards for that: after a gap in its own checks it gives them the whole
timeout again. Nor must a shard be killed because the machine does not let it run: the time that it
waited for a CPU does not count.

`HeartbeatWatch` decides, without a process or clock; `Watchdog` sends the signals.
"""

import contextlib
import enum
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from shardws import stats
from shardws.log import logger
from shardws_supervisor.shards.slots import ShardProcess, State

# Seconds from STOP, or from ABRT, to SIGKILL. A shard needs up to 4: for handlers that still run,
# twice for the Disconnected handlers of connections whose handlers it cancelled, and for its links.
STOP_DEADLINE = 5.0
ABORT_GRACE = 2.0  # seconds between ABRT and KILL: time to write the stacks
NO_STARVATION = 0.1  # seconds that any process waits for a CPU now and then
LOOK_GAP = 3.0  # a longer gap between two checks means that the supervisor itself was stopped

log = logger("supervisor.shards")


class Verdict(enum.Enum):
    """What to do with a shard."""

    WELL = "well"
    EXCUSED = "excused"  # no beat in time, but it waited for a CPU: told once
    ABORT = "abort"
    KILL = "kill"


@dataclass(slots=True)
class HeartbeatWatch:
    """Watches one shard from `since` on, in monotonic seconds."""

    timeout: float  # seconds without a heartbeat; 0 turns the watch off
    since: float
    last_look: float = 0.0
    aborted_at: float | None = None
    beat: float = -1.0  # the last one seen
    waited_before: float = 0.0  # for a CPU, when that beat was first seen
    starved: float = 0.0  # seconds since then
    is_excused: bool = False

    def __post_init__(self) -> None:
        self.last_look = self.since

    def silence(self, now: float, beat: float) -> float:
        """Return for how many seconds no heartbeat was seen, as far as can be known."""
        return now - max(beat, self.since)

    def look(self, now: float, beat: float, waited: float | None = None) -> Verdict:
        """Decide from the time of the last heartbeat in monotonic seconds (0: none yet).

        `waited`: seconds the process has waited for a CPU since its start; None: unknown.
        """
        if now - self.last_look > LOOK_GAP:
            self.since = now
        self.last_look = now
        if beat != self.beat or waited is None:
            self.beat, self.waited_before, self.is_excused = beat, waited or 0.0, False
        starved = 0.0 if waited is None else waited - self.waited_before
        self.starved = starved if starved > NO_STARVATION else 0.0
        if self.aborted_at is not None:
            return Verdict.KILL if now - self.aborted_at >= ABORT_GRACE else Verdict.WELL
        if not self.timeout or self.silence(now, beat) < self.timeout:
            return Verdict.WELL
        if self.silence(now, beat) - self.starved < self.timeout:
            was_excused, self.is_excused = self.is_excused, True
            return Verdict.WELL if was_excused else Verdict.EXCUSED
        self.aborted_at = now
        return Verdict.ABORT


def waited_for_cpu(pid: int) -> float | None:
    """Return the seconds a process has waited for a CPU; None where the kernel does not tell.

    Of its main thread, which turns the loop; a wait that still lasts is not in it yet.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def send(process: ShardProcess, number: signal.Signals) -> None:
    """Send a signal to a shard that is not reaped yet."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


def abort(process: ShardProcess) -> None:
    """Make a shard, even a stopped one, write its stacks and end; KILL follows if it does not."""
    send(process, signal.SIGABRT)
    send(process, signal.SIGCONT)


class Watchdog:
    """Watches all shards."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory
        self._watches: dict[int, HeartbeatWatch] = {}  # by pid

    def begin(self, process: ShardProcess, timeout: float, now: float) -> None:
        """Watch a new shard; `timeout` is HeartbeatTimeout in seconds."""
        self._watches[process.pid] = HeartbeatWatch(timeout, now)

    def end(self, process: ShardProcess) -> None:
        """Remove a shard that has been reaped."""
        del self._watches[process.pid]

    def look(self, process: ShardProcess, now: float) -> None:
        """Check one shard; abort or kill it if need be."""
        if process.is_late(now):
            self._overdue(process, now)
        elif process.state in (State.READY, State.MOVING, State.DRAINING) and not process.is_gone:
            self._check_health(process, now)

    def _overdue(self, process: ShardProcess, now: float) -> None:
        log.error("%s (pid %d) is late in state %s", process.name, process.pid, process.state.value)
        if process.state is State.STARTING:
            process.complaint = f"it was not ready within {now - process.started:.0f} s"
            abort(process)
            process.move(State.STOPPING, now, now + STOP_DEADLINE)
        else:
            send(process, signal.SIGKILL)
            process.deadline = now + STOP_DEADLINE

    def _check_health(self, process: ShardProcess, now: float) -> None:
        beat = self._memory.row(process.row)[stats.HEARTBEAT] / 1e9
        watch = self._watches[process.pid]
        verdict = watch.look(now, beat, waited_for_cpu(process.pid))
        who = f"{process.name} (pid {process.pid})"
        silence = f"{watch.silence(now, beat):.1f} s"
        starved = f"it waited {watch.starved:.1f} s of that for a CPU"
        if verdict is Verdict.EXCUSED:
            log.warning("%s has not run its event loop for %s, but %s", who, silence, starved)
        elif verdict is Verdict.ABORT:
            text = "%s has not run its event loop for %s: ABRT, its stacks follow (%s)"
            log.error(text, who, silence, starved)
            process.complaint = f"its event loop did not run for {silence}"
            abort(process)
        elif verdict is Verdict.KILL:
            log.error("%s did not end after ABRT: KILL", who)
            send(process, signal.SIGKILL)
