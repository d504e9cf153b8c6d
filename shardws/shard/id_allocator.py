"""The serials of a shard's ConnectionIds (ids.py): each is given once.

Owns the counter in shared memory, which continues where the row's last process stopped. A process
whose serials run short reports it once, while `RESERVE` are left, so that it is replaced in time;
when none is left it gives none. Only a new process starts again at 1, under another generation,
when it finds more than half of the serials used.
"""

from collections.abc import Callable
from typing import Final

from shardws import ids
from shardws.stats import SERIAL, Words

RESERVE: Final = 1 << 16  # more than are needed while a shard is replaced


class IdAllocator:
    """What the next id is."""

    def __init__(self, row: Words, base: int, on_short: Callable[[], None]) -> None:
        """`base` is the process's id without a serial; `on_short` is called once."""
        self._on_short = on_short
        self._row = row
        self._base = base
        self._is_short = False
        if row[SERIAL] > ids.SERIALS // 2:
            row[SERIAL] = 0

    def new_id(self) -> int:
        """Return the next id of this process; 0 when all are used."""
        serial: int = self._row[SERIAL] + 1
        if serial >= ids.SERIALS - RESERVE:
            self._run_short()
        if serial >= ids.SERIALS:
            return 0
        self._row[SERIAL] = serial
        return self._base + serial

    def _run_short(self) -> None:
        if not self._is_short:
            self._is_short = True
            self._on_short()
