"""The readers of /proc that tests use: what vanishes meanwhile is absent, not an error."""

import os
import subprocess
import sys

import pytest

from tests import proc


def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_a_process_that_is_gone_is_absent() -> None:
    pid = ended_pid()
    assert (proc.read(pid, "comm"), proc.state_of(pid)) == ("", "")
    assert (proc.children_of(pid), proc.descriptors_of(pid)) == ([], [])
    assert not any(tell(pid) for tell in (proc.is_alive, proc.is_stopped, proc.is_sleeping))


def test_a_descriptor_that_closes_while_they_are_listed_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FileNotFoundError, when a child closed what was not its own right after the fork."""
    listdir = os.listdir
    with open(os.devnull) as file:
        monkeypatch.setattr("os.listdir", lambda path: ["1000000", *listdir(path)])
        found = proc.descriptors_of(os.getpid())
        assert os.devnull in found, file


def test_the_living_are_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert proc.is_alive(process.pid)
        assert process.pid in proc.children_of(os.getpid())
        assert process.pid in proc.pids()
        assert proc.descriptors_of(process.pid)
