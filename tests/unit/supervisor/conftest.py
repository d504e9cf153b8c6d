"""Scripts in a process of their own, for what belongs to a whole process; loggers left as found."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

RunScript = Callable[[str], str]


@pytest.fixture
def run_script(tmp_path: Path) -> RunScript:
    """Run Python text with warnings as errors; return its output, fail with its stderr."""

    def run(text: str) -> str:
        path = os.pathsep.join(
            [str(ROOT), str(ROOT / "supervisor"), os.environ.get("PYTHONPATH", "")]
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def unconfigured_logs() -> Iterator[None]:
    """Undo what the test configures of our loggers: later tests read their records."""
    loggers = [logging.getLogger(name) for name in ("shardws", "asyncio")]
    before = [(list(one.handlers), one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.level, one.propagate = handlers, level, propagate
