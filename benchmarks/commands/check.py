"""Count instructions per message with callgrind: a figure that other load does not change.

Compares with the stored table micro/instructions.toml: a scenario that needs over 2 % more is a
failure and exit code 1. The count depends on the interpreter, the compiler and the processor's
family, so the table has a set per environment; without a set for this one, the counts are only
shown (exit code 0, with a note). --update stores the counts.

Instructions are not time: a cache miss costs a hundred of them. They show that a path got longer.
"""

import argparse
from collections.abc import Sequence

from benchmarks.micro import instructions
from benchmarks.micro.scenarios import available
from benchmarks.options import check_names


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--update", action="store_true", help="store the counts")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="(all)")


def chosen(names: Sequence[str]) -> list[str]:
    """Those named, or all; raises CannotRun for an unknown one."""
    known = list(available())
    check_names("scenario", names, known)
    return list(names or known)


def run(args: argparse.Namespace) -> int:
    """Raises CannotRun."""
    return instructions.check(instructions.count(chosen(args.scenarios)), args.update)
