"""Shared memory: which connections each shard has, so that a crash loses none in silence.

Owns an anonymous shared mapping made before the fork: for each row (ids.row_of) a page of cells,
each 0 or the serial of a connection that was told Connected and not yet Disconnected. A shard
writes its own page with plain 32-bit stores; the supervisor reads the page of a dead shard and
gives the ids to its successor, which tells the application what the dead one no longer could.
Knows no process and no handler. An entry costs 4 bytes; pages never touched cost nothing.
"""

import mmap
from typing import Final

CELL: Final = 4  # bytes: a serial has 27 bits


class Page:
    """The cells of one row, as their shard uses them."""

    __slots__ = ("_cells", "_free", "_unused")

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        self._free: list[int] = []  # cells given back
        self._unused = 0  # cells from here on were never used

    @property
    def capacity(self) -> int:
        """How many connections fit."""
        return len(self._cells)

    def enter(self, serial: int) -> int:
        """Note a connection; return its cell, or -1 when the page is full."""
        if self._free:
            cell = self._free.pop()
        elif self._unused < len(self._cells):
            cell = self._unused
            self._unused += 1
        else:
            return -1
        self._cells[cell] = serial
        return cell

    def leave(self, cell: int) -> None:
        """Take a connection out; -1 is nothing."""
        if cell >= 0:
            self._cells[cell] = 0
            self._free.append(cell)


class Census:
    """All pages; `capacity` connections each."""

    def __init__(self, rows: int, capacity: int) -> None:
        if rows < 1 or capacity < 1:
            raise ValueError("a census needs rows and cells")
        self.capacity = capacity
        self._map = mmap.mmap(-1, rows * capacity * CELL)
        self._cells = memoryview(self._map).cast("I")

    def _row(self, row: int) -> memoryview:
        cells = self._cells[row * self.capacity : (row + 1) * self.capacity]
        if len(cells) != self.capacity or row < 0:
            raise IndexError(f"row {row}")
        return cells

    def page(self, row: int) -> Page:
        """Return the page of a row for its new shard, which must find it empty (`collect`)."""
        return Page(self._row(row))

    def collect(self, row: int) -> list[int]:
        """Return the serials on a dead shard's page, oldest first, and clear the page."""
        cells = self._row(row)
        serials = sorted(serial for serial in cells.tolist() if serial)
        # Clearing touches pages; a shard that ended in order left nothing to clear.
        if serials:
            cells[:] = memoryview(bytes(self.capacity * CELL)).cast("I")
        return serials
