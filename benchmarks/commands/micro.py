"""Time the hot paths one by one, by pytest-benchmark.

Options of pytest stand behind `--`: micro -- -k handshake --benchmark-autosave. Times are of this
machine with all else that runs on it; `check` counts instructions, which nothing can move.
"""

import argparse
import subprocess
import sys

from benchmarks.packages import PROJECT


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pytest", nargs="*", metavar="OPTION", help="of pytest, behind --")


def run(args: argparse.Namespace) -> int:
    """The exit code of pytest."""
    words = [sys.executable, "-m", "pytest", "benchmarks/micro", "--benchmark-only", *args.pytest]
    return subprocess.run(words, cwd=PROJECT).returncode
