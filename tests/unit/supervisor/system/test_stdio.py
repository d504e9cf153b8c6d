"""stdio: standard descriptors that were closed, and a last line that nobody reads."""

from collections.abc import Callable

CLOSED = """
import os
for file in (0, 1, 2):
    os.close(file)
import sys
sys.stdout = sys.stderr = sys.stdin = None
from shardws_supervisor.system import stdio
stdio.complete()
links = [os.readlink(f"/proc/self/fd/{file}") for file in (0, 1, 2)]
first = os.open("/dev/null", os.O_RDONLY)
print("nowhere")
sys.stderr.write("nowhere")
good = links == ["/dev/null"] * 3 and os.get_inheritable(2) and first == 3
sys.stdout.flush()
os._exit(0 if good else 1)
"""

FULL = """
import os, sys
from shardws_supervisor.system import stdio
reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while os.write(writer, b"x" * 4096):
        pass
except BlockingIOError:
    pass
os.set_blocking(writer, True)
kept = os.dup(2)
os.dup2(writer, 2)
stdio.say("this one is lost")
os.dup2(kept, 2)
stdio.say("this one is not")
"""


def test_closed_descriptors_lead_to_nothing(run_script: Callable[[str], str]) -> None:
    run_script(CLOSED)


def test_a_last_line_waits_for_nobody(run_script: Callable[[str], str]) -> None:
    run_script(FULL)
