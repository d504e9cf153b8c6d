"""terminal: HUP of a closed terminal is told from HUP of an operator."""

from collections.abc import Callable

SCRIPT = """
import os, pty, signal
from shardws_supervisor.system.terminal import Terminal
assert not Terminal().is_closed, "there is none"
ready, told = os.pipe()
pid, terminal = pty.fork()
if pid == 0:
    os.close(ready)
    mine = Terminal()
    behind = Terminal(files=())
    seen = []
    signal.signal(signal.SIGHUP, lambda *_: seen.append((mine.is_closed, behind.is_closed)))
    os.kill(os.getpid(), signal.SIGHUP)
    os.write(told, b"!")
    while len(seen) < 2:
        signal.pause()
    os.write(told, repr(seen).encode())
    os._exit(0)
os.close(told)
os.read(ready, 1)
os.close(terminal)
assert os.read(ready, 100) == b"[(False, False), (True, False)]"
"""


def test_a_closed_terminal(run_script: Callable[[str], str]) -> None:
    run_script(SCRIPT)
