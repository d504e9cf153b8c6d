"""leadership: never two leaders, and a new one as soon as the old one is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardws.shard.leadership import LOCK_FILE, Leadership

# Leads, says so, forks a child that outlives it, and waits.
OTHER = """
import os, sys, time
from shardws.shard.leadership import Leadership
leadership = Leadership(sys.argv[1])
assert leadership.ask()
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
sys.stdin.read()
"""


def other(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


@pytest.mark.parametrize("is_removed", [False, True])
def test_another_one_leads_when_the_leader_is_killed(tmp_path: Path, is_removed: bool) -> None:
    leader = other(tmp_path)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    leadership = Leadership(str(tmp_path))
    try:
        assert not leadership.ask()
        assert not leadership.ask()
        leader.kill()
        leader.wait()
        assert leadership.ask(), "a child that it had forked has no part in it"
        assert leadership.ask()
        if is_removed:
            (tmp_path / LOCK_FILE).unlink()
            assert leadership.ask()
            assert (tmp_path / LOCK_FILE).exists()
        leadership.resign()
        second = other(tmp_path)
        assert second.stdout is not None
        children = [child, int(second.stdout.readline())]
        assert not leadership.ask()
    finally:
        os.kill(child, 9)
    os.kill(children[1], 9)
    second.communicate("")
    leader.communicate()
    assert leadership.ask()


def test_a_shard_without_peers_leads() -> None:
    leadership = Leadership("")
    assert leadership.ask()
    leadership.resign()


def test_nobody_leads_where_no_file_can_be_made(tmp_path: Path) -> None:
    assert not Leadership(str(tmp_path / "none")).ask()
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    assert not Leadership(str(tmp_path)).ask()
