"""The program that runs under callgrind: each scenario once, between two marks.

    valgrind --tool=callgrind ... python -m benchmarks.micro.counted MARKS.so SCENARIO...

Each scenario is warmed up, then counted for BATCHES batches; `empty` counts the marks alone. The
garbage collector is disabled, so that it does not run in some scenario by chance. MARKS.so is
loaded before all other libraries: its clock is slow, as the program is, or slices of work would be
cut.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.micro.scenarios import Batches, Scenario, available
from shardws.routing import tail

BATCHES = 40
WARMUP = 10
EMPTY = "empty"
# A link asks for a confirmation that nobody waits for so long after a write: by chance, here.
TAIL_S = 1000.0


@contextmanager
def nothing() -> Any:
    yield lambda batches: None


def count(scenario: Scenario, begin: Callable[[], None], end: Callable[[bytes], None]) -> None:
    run: Batches
    with scenario.prepared() as run:
        run(WARMUP)
        gc.collect()
        begin()
        run(BATCHES)
        end(scenario.name.encode())


def main(marks: str, names: Sequence[str]) -> None:
    library = ctypes.CDLL(marks)
    known = available()
    gc.disable()
    tail.TAIL_SECONDS = TAIL_S  # type: ignore[misc]  # it is Final
    for scenario in (Scenario(EMPTY, "", nothing), *(known[name] for name in names)):
        count(scenario, library.mark_begin, library.mark_end)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
