"""rehearsal: a child that executes a program, and what becomes of what it writes."""

import selectors
import sys
import time
from pathlib import Path

import pytest

from shardws_supervisor.upgrade.image import REHEARSE, Image
from shardws_supervisor.upgrade.rehearsal import LONGEST, Rehearsal, RehearsalError, Versions

GOOD = """
import os, sys
from shardws_supervisor.upgrade import image
print("noise")
assert sys.argv[1:] == ["%s", "app:server"], sys.argv
assert image.taken(os.environ, os.getpid()) == b"state"
print('{"version": "2.0", "python": "3.13"}')
"""


def rehearse(tmp_path: Path, text: str, seconds: float = 20.0) -> Versions:
    """Run a program to its end, or to its deadline."""
    (tmp_path / "program.py").write_text(text)
    program = Image((sys.executable, "program.py"), ("app:server",), str(tmp_path))
    rehearsal = Rehearsal(program, b"state", time.monotonic() + seconds, [])
    with selectors.DefaultSelector() as selector:
        selector.register(rehearsal, selectors.EVENT_READ)
        while time.monotonic() < rehearsal.ends:
            if selector.select(rehearsal.ends - time.monotonic()) and rehearsal.receive():
                break
    return rehearsal.finish()


def test_the_last_line_is_the_report(tmp_path: Path) -> None:
    assert rehearse(tmp_path, GOOD % REHEARSE) == Versions("2.0", "3.13")


BAD = {
    "one line": ("import sys; sys.exit('shardws: no such module')", "no such module"),
    "traceback": ("1 / 0", "ZeroDivisionError: division by zero"),
    "syntax": ("def f(:", "SyntaxError: invalid syntax"),
    "silent": ("import sys; sys.exit(7)", "exited with 7"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    "no report": ("print('hello')", "does not know upgrades"),
    "other report": ("print('{\"a\": 1}')", "does not know upgrades"),
    "a number": ("print(1)", "does not know upgrades"),
    "much": (f"print('x' * {2 * LONGEST})", "writes too much"),
}


@pytest.mark.parametrize("name", BAD)
def test_why_not(tmp_path: Path, name: str) -> None:
    text, reason = BAD[name]
    with pytest.raises(RehearsalError) as refused:
        rehearse(tmp_path, text)
    assert reason in refused.value.description


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match="not ready in time"):
        rehearse(tmp_path, "import time; time.sleep(3600)", seconds=0.0)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    program = Image(("/no/such/python",), (), str(tmp_path))
    rehearsal = Rehearsal(program, b"state", time.monotonic() + 20, [])
    with selectors.DefaultSelector() as selector:
        selector.register(rehearsal, selectors.EVENT_READ)
        while selector.select() and not rehearsal.receive():
            pass
    with pytest.raises(RehearsalError, match="/no/such/python cannot be executed: No such file"):
        rehearsal.finish()


def test_one_that_is_abandoned(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import time; time.sleep(3600)")
    program = Image((sys.executable, "program.py"), (), str(tmp_path))
    rehearsal = Rehearsal(program, b"state", 0.0, [])
    assert rehearsal.abandon() == 9
