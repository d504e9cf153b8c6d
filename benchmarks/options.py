"""Types of command line options shared by several commands."""

import argparse
from collections.abc import Iterable, Sequence

from benchmarks.errors import CannotRun


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def count(text: str) -> int:
    """A whole number above 0; raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0, not {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    return [count(word) for word in words(text)]


def seconds(text: str) -> float:
    """A time above 0; raises ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"seconds above 0, not {text!r}")
    return found


def check_names(noun: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raises CannotRun for a name that is not known."""
    for name in names:
        if name not in known:
            raise CannotRun(f"no {noun} {name!r}: one of {', '.join(known)}")
