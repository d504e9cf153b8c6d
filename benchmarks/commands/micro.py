"""Time the hot paths one by one with pytest-benchmark.

Options of pytest follow `--`: micro -- -k handshake --benchmark-autosave. Times depend on the other
load of this machine; `check` counts instructions, which do not.
"""

import argparse
import subprocess
import sys

from benchmarks.packages import PROJECT


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pytest", nargs="*", metavar="OPTION", help="options of pytest, after --")


def run(args: argparse.Namespace) -> int:
    """The exit code of pytest."""
    words = [sys.executable, "-m", "pytest", "benchmarks/micro", "--benchmark-only", *args.pytest]
    return subprocess.run(words, cwd=PROJECT).returncode
