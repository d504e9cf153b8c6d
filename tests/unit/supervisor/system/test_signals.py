"""signals: recorded in order, counted where counting matters.

In a process of its own: handlers and the wake-up descriptor belong to the whole process.
"""

from collections.abc import Callable

import pytest

PREAMBLE = """
import os, select, signal
from shardws_supervisor.system.signals import LONGEST, Signals, end_the_start, reset_in_child
signals = Signals()
signals.install()
def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
def is_readable():
    return bool(select.select([signals], [], [], 0)[0])
"""

CASES = {
    "held over an exec, those recorded too": """
send(signal.SIGTERM)
signals.hold()
send(signal.SIGUSR2, signal.SIGHUP)
assert signals.take() == []
for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):  # as an exec does
    signal.signal(number, signal.SIG_DFL)
again = Signals()
again.install()
again.release()
assert sorted(again.take()) == sorted([signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP])
""",
    "in order, and the pipe wakes": """
send(signal.SIGTERM, signal.SIGHUP, signal.SIGTERM)
assert is_readable()
assert signals.take() == [signal.SIGTERM, signal.SIGHUP, signal.SIGTERM]
assert not is_readable()
assert signals.take() == []
""",
    "one CHLD is as good as many": """
send(*[signal.SIGCHLD] * 5, signal.SIGUSR1, signal.SIGUSR1)
assert signals.take() == [signal.SIGCHLD, signal.SIGUSR1]
""",
    "a flood is bounded": """
send(*[signal.SIGTTIN] * 1000)
assert len(signals.take()) == LONGEST
""",
    "a child has defaults, and ignores what is the supervisor's": """
reset_in_child()
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
theirs = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
          signal.SIGTTIN, signal.SIGTTOU)
send(*theirs)
assert signals.take() == []
import subprocess, sys
asked = "import signal; print([int(signal.getsignal(n) == signal.SIG_IGN) for n in %r])"
done = subprocess.run([sys.executable, "-c", asked % [int(number) for number in theirs]],
                      capture_output=True, text=True, check=True)
assert done.stdout.strip() == str([0] * 7), "what it executes ignores none of them"
blocked = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=True)
assert done.stdout.strip() == "set()"
""",
    "leaving: what comes until the process has ended does nothing": """
signals.leave()
import atexit
atexit.register(lambda: send(signal.SIGTERM, signal.SIGTTOU, signal.SIGHUP, signal.SIGINT))
""",
    "starting: what asks for something is ignored": """
end_the_start()
send(signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU)
assert signals.take() == []
""",
    "closing": """
signals.close()
assert signal.set_wakeup_fd(-1) == -1
""",
}


@pytest.mark.parametrize("name", CASES)
def test_signals(name: str, run_script: Callable[[str], str]) -> None:
    run_script(PREAMBLE + CASES[name])
