"""spawn: what a child starts with, how it ends, and that it never comes back."""

import os
import signal
from collections.abc import Callable

import pytest

from shardws_supervisor.system import spawn

PREAMBLE = """
import os, signal, socket, sys
from shardws_supervisor.system import spawn
from shardws_supervisor.system.signals import Signals
def end(pid):
    return spawn.ending(os.waitpid(pid, 0)[1])
"""

CASES = {
    "the exit code is the body's": """
assert end(spawn.fork(lambda: 0, name="x")) == "exited with 0 (ok)"
assert end(spawn.fork(lambda: 3, name="x")) == "exited with 3 (cannot_start)"
assert end(spawn.fork(lambda: sys.exit(5), name="x")) == "exited with 5"
assert end(spawn.fork(lambda: sys.exit("text"), name="x")) == "exited with 1 (failed)"
""",
    "an exception is exit code 1 and a record": """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
def body():
    raise RuntimeError("boom")
assert end(spawn.fork(body, name="shardws-7")) == "exited with 1 (failed)"
print("back", flush=True)
""",
    "a child never runs what its parent registered": """
import atexit
atexit.register(print, "atexit of", os.getpid())
try:
    assert end(spawn.fork(lambda: 0, name="x")) == "exited with 0 (ok)"
finally:
    print("finally of", os.getpid())
""",
    "fds_to_close descriptors are closed, signals are its own": """
signals = Signals()
signals.install()
ours, theirs = socket.socketpair()
def body():
    assert ours.fileno() == -1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    with open("/proc/self/comm") as file:
        assert file.read() == "a-long-name-of-\\n"
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2, 3, 4, 5, 6, 7) if is_open(fd)]
    return 1 if pipe in links else 7
def is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")
pipe = os.readlink(f"/proc/self/fd/{signals.fileno()}")
pid = spawn.fork(body, name="a-long-name-of-more-than-15", fds_to_close=[ours, signals])
assert end(pid) == "exited with 7"
assert ours.fileno() > 0 and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
""",
    "a signal during the fork is the parent's alone": """
signals = Signals()
signals.install()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
assert end(spawn.fork(lambda: 0, name="x")) == "exited with 0 (ok)"
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
assert signal.SIGTERM in signals.take()
""",
    "it dies with its parent": """
import select
reader, writer = os.pipe()
middle = os.fork()
if middle == 0:
    def body():
        os.write(writer, b"alive")
        signal.pause()
        return 0
    spawn.fork(body, name="x")
    select.select([reader], [], [], 10)
    os._exit(0)
os.waitpid(middle, 0)
os.close(writer)
assert os.read(reader, 5) == b"alive"
assert select.select([reader], [], [], 10)[0] and os.read(reader, 1) == b"", "the pipe closed"
""",
    "an orphan from the first moment ends at once": """
middle = os.fork()
if middle == 0:
    spawn.die_with_parent(1 << 22)
    os._exit(0)
assert end(middle) == "exited with 4 (orphaned)"
""",
    "ABRT writes the stacks": """
assert end(spawn.fork(os.abort, name="x")) == "was killed by SIGABRT"
""",
}


@pytest.mark.parametrize("name", CASES)
def test_fork(name: str, run_script: Callable[[str], str]) -> None:
    output = run_script(PREAMBLE + CASES[name])
    if name.startswith("a child never"):
        lines = output.split("\n")
        assert [line[: line.rindex(" ")] for line in lines if line] == ["finally of", "atexit of"]
    if name.startswith("an exception"):
        assert "shardws-7 ended by an unexpected error" in output
        assert "RuntimeError: boom" in output
        assert output.endswith("back\n")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited with 0 (ok)"),
        (9, "was killed by SIGKILL"),
        (signal.SIGSEGV | 0x80, "was killed by SIGSEGV"),
        (63, "was killed by signal 63"),
        (77 << 8, "exited with 77"),
    ],
)
def test_ending(status: int, words: str) -> None:
    assert os.WIFEXITED(status) or os.WIFSIGNALED(status)
    assert spawn.ending(status) == words
