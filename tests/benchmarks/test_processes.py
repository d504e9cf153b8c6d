"""Processes that a measurement starts: ready or a reason, their tree, and their end."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks import processes as starting
from benchmarks.errors import StartFailed
from benchmarks.processes import Processes, free_port
from benchmarks.procfs import birth, cpu_seconds

LISTEN_WITH_A_CHILD = """
import os, signal, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pause()
"""


def test_starts_and_ends_a_whole_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "STOP_LIMIT_S", 0.2)
    port = free_port()
    with Processes() as processes:
        processes.start([sys.executable, "-c", LISTEN_WITH_A_CHILD, str(port)], port)
        parent = processes.children[0].pid
        while len(pids := processes.pids()) < 2:
            os.sched_yield()  # the child is forked behind listen()
        assert pids[0] == parent
        assert processes.resident_kib() > 1000
        assert processes.cpu_seconds() > 0
    assert [birth(pid) for pid in pids] == [None, None]
    assert not processes.directory.name or not Path(processes.directory.name).exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([sys.executable, "-c", "raise SystemExit('no certificate')"], "ended with 1: no cert"),
        (["/no/such/program"], "No such file"),
    ],
)
def test_says_why_it_did_not_start(argv: list[str], words: str) -> None:
    with Processes() as processes, pytest.raises(StartFailed, match=words):
        processes.start(argv, free_port())


def test_gives_up_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(starting, "START_LIMIT_S", 0.05)
    with Processes() as processes, pytest.raises(StartFailed, match="not ready within"):
        processes.start(["sleep", "30"], tmp_path / "never")


def test_cpu_of_a_process() -> None:
    before = cpu_seconds([os.getpid()])
    sum(range(200_000))
    assert cpu_seconds([os.getpid()]) > before
    assert cpu_seconds([2**22 + 1]) == 0.0
