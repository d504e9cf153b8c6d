"""Shared memory: which connections each shard has, so that none is lost unreported in a crash.

Owns a shared mapping made before the fork: for each row (ids.row_of) a page of cells,
each 0 or the id of a connection that was told Connected and not yet Disconnected. A shard writes
its own page with plain 64-bit stores; the supervisor reads the page of a dead shard and gives the
ids to its successor, which fires Disconnected for them. A shard may serve connections that were
handed over to it, so the whole id is noted: `incarnations` says of which processes they are.
Beside each cell is another one for the socket, which the shard's keeper reads when the shard has
died (shard.keeper): its descriptor + 1, INSIDE while the outgoing stream stands inside a frame,
and SILENT if no close frame may be written.
An entry costs 12 bytes; cells that were never used cost neither memory nor time: the first cell of
a page says how many were.
"""

from typing import Final

from shardws.ids import GENERATION_SHIFT
from shardws.shared_memory import SharedMemory

VERSION: Final = 1  # of the layout
CELL: Final = 8  # bytes: a ConnectionId has 53 bits
SOCKET_CELL: Final = 4
INSIDE: Final = 1 << 31  # as _keeper.c and the pump
SILENT: Final = 1 << 30
USED: Final = 0  # the cell that counts those in use from the front; the others are behind it


class Page:
    """The cells of one row, as their shard uses them."""

    __slots__ = ("_cells", "_free", "_unused", "sockets")

    def __init__(self, cells: memoryview, sockets: memoryview) -> None:
        self._cells = cells
        self.sockets = sockets
        self._free: list[int] = []  # cells given back
        self._unused = USED + 1  # cells from here on were never used

    @property
    def capacity(self) -> int:
        """How many connections fit."""
        return len(self._cells) - 1

    def enter(self, connection_id: int, fd: int = -1, flags: int = 0) -> int:
        """Note a connection and its socket; return its cell, or -1 when the page is full."""
        if self._free:
            cell = self._free.pop()
        elif self._unused < len(self._cells):
            cell = self._unused
            self._unused += 1
            self._cells[USED] = self.sockets[USED] = (
                cell  # before the id: who reads it later must look here
            )
        else:
            return -1
        self._cells[cell] = connection_id
        self.sockets[cell] = fd + 1 | flags if fd >= 0 else 0
        return cell

    def found(self, cell: int, fd: int) -> None:
        """Note the socket of a connection that has it only now."""
        if cell >= 0 and fd >= 0:
            self.sockets[cell] |= fd + 1

    def silence(self, cell: int) -> None:
        """Have no close frame written: one has left already."""
        if cell >= 0:
            self.sockets[cell] |= SILENT

    def leave(self, cell: int) -> None:
        """Take a connection out; -1 is nothing."""
        if cell >= 0:
            self.sockets[cell] = 0
            self._cells[cell] = 0
            self._free.append(cell)


class Census:
    """All pages; `capacity` connections each."""

    def __init__(self, rows: int, capacity: int, file: int | None = None) -> None:
        """OSError (ENOMEM) when that much address space cannot be mapped.

        `file`: the descriptor of a mapping that is in use; ValueError when it has another size.
        """
        if rows < 1 or capacity < 1:
            raise ValueError("a census needs rows and cells")
        self.capacity = capacity
        self._length = capacity + 1  # cells of a page
        ids = rows * self._length * CELL
        size = ids + rows * self._length * SOCKET_CELL
        self.memory = SharedMemory("shardws-census", size, file)
        self._cells = self.memory.bytes[:ids].cast("Q")
        self._sockets = self.memory.bytes[ids:].cast("I")

    def _row(self, row: int) -> memoryview:
        cells = self._cells[row * self._length : (row + 1) * self._length]
        if len(cells) != self._length or row < 0:
            raise IndexError(f"row {row}")
        return cells

    def page(self, row: int) -> Page:
        """Return the page of a row for its new shard, which must find it empty (`collect`)."""
        cells, start = self._row(row), row * self._length
        sockets = self._sockets[start : start + self._length]
        # Those of a process that died: its keeper has gone.
        used = min(sockets[USED], self.capacity)
        sockets[: used + 1] = memoryview(bytes((used + 1) * SOCKET_CELL)).cast("I")
        return Page(cells, sockets)

    def collect(self, row: int) -> list[int]:
        """Return the ids on a dead shard's page, in rising order, and clear the page."""
        cells = self._row(row)
        used = min(cells[USED], self.capacity)  # written by a process that may have been corrupted
        if not used:
            return []
        found = sorted(
            connection_id for connection_id in cells[1 : used + 1].tolist() if connection_id
        )
        cells[: used + 1] = memoryview(bytes((used + 1) * CELL)).cast("Q")
        return found

    def incarnations(self, row: int) -> set[int]:
        """Return the incarnations (ids.incarnation_of) of the connections on a page."""
        cells = self._row(row)
        used = min(cells[USED], self.capacity)
        return {cell >> GENERATION_SHIFT for cell in set(cells[1 : used + 1].tolist()) if cell}
