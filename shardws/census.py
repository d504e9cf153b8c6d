"""Shared memory: which connections each shard has, so that none is lost unreported in a crash.

Owns an anonymous shared mapping made before the fork: for each row (ids.row_of) a page of cells,
each 0 or the serial of a connection that was told Connected and not yet Disconnected. A shard
writes its own page with plain 32-bit stores; the supervisor reads the page of a dead shard and
gives the ids to its successor, which fires Disconnected for them.
An entry costs 4 bytes; cells that were never used cost neither memory nor time: the first cell of a
page says how many were.
"""

import mmap
from typing import Final

CELL: Final = 4  # bytes: a serial has 27 bits
USED: Final = 0  # the cell that counts those in use from the front; the others are behind it


class Page:
    """The cells of one row, as their shard uses them."""

    __slots__ = ("_cells", "_free", "_unused")

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        self._free: list[int] = []  # cells given back
        self._unused = USED + 1  # cells from here on were never used

    @property
    def capacity(self) -> int:
        """How many connections fit."""
        return len(self._cells) - 1

    def enter(self, serial: int) -> int:
        """Note a connection; return its cell, or -1 when the page is full."""
        if self._free:
            cell = self._free.pop()
        elif self._unused < len(self._cells):
            cell = self._unused
            self._unused += 1
            self._cells[USED] = cell  # before the serial: who reads it later must look here
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
        """OSError (ENOMEM) when that much address space cannot be mapped."""
        if rows < 1 or capacity < 1:
            raise ValueError("a census needs rows and cells")
        self.capacity = capacity
        self._length = capacity + 1  # cells of a page
        self._map = mmap.mmap(-1, rows * self._length * CELL)
        self._cells = memoryview(self._map).cast("I")

    def _row(self, row: int) -> memoryview:
        cells = self._cells[row * self._length : (row + 1) * self._length]
        if len(cells) != self._length or row < 0:
            raise IndexError(f"row {row}")
        return cells

    def page(self, row: int) -> Page:
        """Return the page of a row for its new shard, which must find it empty (`collect`)."""
        return Page(self._row(row))

    def collect(self, row: int) -> list[int]:
        """Return the serials on a dead shard's page, oldest first, and clear the page."""
        cells = self._row(row)
        used = min(cells[USED], self.capacity)  # written by a process that may have been corrupted
        if not used:
            return []
        serials = sorted(serial for serial in cells[1 : used + 1].tolist() if serial)
        cells[: used + 1] = memoryview(bytes((used + 1) * CELL)).cast("I")
        return serials
