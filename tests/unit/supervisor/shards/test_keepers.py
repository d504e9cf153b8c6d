"""Keepers: children that are reaped when they have gone, and killed when they stay too long."""

import os
import signal
import time

from shardws_supervisor.shards.keepers import PATIENCE, Keepers
from shardws_supervisor.shards.slots import ShardProcess


def child() -> int:
    """Fork a process that waits for a signal."""
    pid = os.fork()
    if not pid:
        signal.pause()
        os._exit(0)
    return pid


def process(slot: int = 0, generation: int = 0) -> ShardProcess:
    return ShardProcess(slot, generation, 77, 0.0)


def await_end(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_one_that_stays_is_killed_some_time_after_its_shard_has_ended() -> None:
    keepers, pid = Keepers(), child()
    keepers.begin(process(), pid)
    keepers.advance(1e9)  # its shard lives
    keepers.shard_ended(process(), 10.0)
    keepers.shard_ended(process(), 11.0)  # the first time counts
    keepers.advance(10.0 + PATIENCE - 0.1)
    assert keepers.pids == {pid}
    while keepers.pids:  # it takes a moment to die
        keepers.advance(10.0 + PATIENCE)


def test_one_that_has_gone_is_reaped() -> None:
    keepers, pid = Keepers(), child()
    keepers.begin(process(), pid)
    os.kill(pid, signal.SIGKILL)
    await_end(pid)
    keepers.advance(time.monotonic())
    assert keepers.pids == set()


def test_a_row_that_is_used_again_has_none() -> None:
    keepers, pid, other = Keepers(), child(), child()
    keepers.begin(process(0, 0), pid)
    keepers.begin(process(0, 1), other)
    keepers.end(0)
    assert keepers.pids == {other}
    keepers.end()
    assert keepers.pids == set()


def test_a_pid_that_is_no_child_is_forgotten() -> None:
    keepers = Keepers()
    keepers.begin(process(), os.getpid())
    keepers.advance(0.0)
    assert keepers.pids == set()


def test_they_are_kept_over_an_exec() -> None:
    keepers, one, other = Keepers(), child(), child()
    keepers.begin(process(0), one)
    keepers.begin(process(1), other)
    keepers.shard_ended(process(0), 10.0)
    again = Keepers()
    again.adopt(keepers.keep())
    assert again.pids == {one, other}
    while one in again.pids:
        again.advance(10.0 + PATIENCE)
    assert again.pids == {other}
    again.end()
