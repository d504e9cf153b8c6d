"""Scripts in a process of their own: signals, limits and forks belong to a whole process."""

import os
import subprocess
import sys
from collections.abc import Callable
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
