"""What is late is aborted or killed: deadlines of states, and the heartbeat.

Owns the consequences; the verdicts are those of slots.Life.is_late and health.Watch.
"""

import contextlib
import os
import signal

from shardws import stats
from shardws.log import logger
from shardws_supervisor import health
from shardws_supervisor.slots import Life, State

# Seconds from STOP, or from ABRT, to SIGKILL. A shard needs up to 4: for handlers that still
# run, for the last ones of connections whose handlers it cancelled, twice, and for its links.
STOP_DEADLINE = 5.0

log = logger("supervisor.shards")


def send(life: Life, number: signal.Signals) -> None:
    """Send a signal to a shard that is not reaped yet."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(life.pid, number)


def abort(life: Life) -> None:
    """Have a shard write its stacks and end, a stopped one too; KILL follows if it does not."""
    send(life, signal.SIGABRT)
    send(life, signal.SIGCONT)


class Watching:
    """The watches over all shards."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory
        self._watches: dict[int, health.Watch] = {}  # by pid

    def begin(self, life: Life, timeout: float, now: float) -> None:
        """Watch over a new shard; `timeout` is HeartbeatTimeout in seconds."""
        self._watches[life.pid] = health.Watch(timeout, now)

    def end(self, life: Life) -> None:
        """It has been reaped."""
        del self._watches[life.pid]

    def look(self, life: Life, now: float) -> None:
        """Do what is due with one shard."""
        if life.is_late(now):
            self._overdue(life, now)
        elif life.state in (State.READY, State.DRAINING):
            self._check_health(life, now)

    def _overdue(self, life: Life, now: float) -> None:
        log.error("%s (pid %d) is late in state %s", life.name, life.pid, life.state.value)
        if life.state is State.STARTING:
            life.complaint = f"it was not ready within {now - life.started:.0f} s"
            abort(life)
            life.move(State.STOPPING, now, now + STOP_DEADLINE)
        else:
            send(life, signal.SIGKILL)
            life.deadline = now + STOP_DEADLINE

    def _check_health(self, life: Life, now: float) -> None:
        beat = self._memory.row(life.row)[stats.HEARTBEAT] / 1e9
        watch = self._watches[life.pid]
        verdict = watch.look(now, beat)
        if verdict is health.Verdict.ABORT:
            silence = f"{watch.silence(now, beat):.1f} s"
            who = f"{life.name} (pid {life.pid})"
            log.error("%s has not turned its loop for %s: ABRT, its stacks follow", who, silence)
            life.complaint = f"its loop stood still for {silence}"
            abort(life)
        elif verdict is health.Verdict.KILL:
            log.error("%s (pid %d) did not end by ABRT: KILL", life.name, life.pid)
            send(life, signal.SIGKILL)
