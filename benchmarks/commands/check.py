"""Count instructions per message by callgrind: a figure that no other job on the machine can move.

Compares with the stored table micro/instructions.toml: a scenario that needs over 2 % more is a
failure and exit code 1. The count depends on the interpreter, the compiler and the processor's
family, so the table holds a set for each environment; in one without a set the counts are only
shown (exit code 0, and it says so). --update stores what was counted.

Instructions are not time: a cache miss costs a hundred of them. They tell that a path got longer.
"""

import argparse
from collections.abc import Sequence

from benchmarks.micro import instructions
from benchmarks.micro.scenarios import available
from benchmarks.options import check_names


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--update", action="store_true", help="store what was counted")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="(all)")


def chosen(names: Sequence[str]) -> list[str]:
    """Those named, or all; raises CannotRun for one that is not there."""
    known = list(available())
    check_names("scenario", names, known)
    return list(names or known)


def run(args: argparse.Namespace) -> int:
    """Raises CannotRun."""
    return instructions.check(instructions.count(chosen(args.scenarios)), args.update)
