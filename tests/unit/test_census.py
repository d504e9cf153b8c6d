"""The census: who is on a page, also when the process that wrote it is dead."""

import os
import tracemalloc

import pytest

from shardws import ids
from shardws.census import SILENT, Census
from shardws.routing.identity import incarnation


def test_a_page_holds_who_entered_and_did_not_leave() -> None:
    census = Census(rows=2, capacity=8)
    page = census.page(1)
    cells = [page.enter(serial) for serial in (11, 12, 13)]
    page.leave(cells[1])
    assert census.collect(0) == []
    assert census.collect(1) == [11, 13]
    assert census.collect(1) == []


def test_cells_are_used_again_and_a_full_page_says_so() -> None:
    census = Census(rows=1, capacity=2)
    page = census.page(0)
    first, second = page.enter(1), page.enter(2)
    assert page.enter(3) == -1
    page.leave(-1)
    page.leave(second)
    assert page.enter(4) == second
    page.leave(first)
    assert census.collect(0) == [4]


def test_what_a_dead_process_wrote_is_read_by_its_parent() -> None:
    census = Census(rows=4, capacity=1000)
    pid = os.fork()
    if pid == 0:
        page = census.page(2)
        for serial in range(1, 501):
            page.enter(serial)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert census.collect(2) == list(range(1, 501))


def test_a_page_says_of_which_processes_its_connections_are() -> None:
    census = Census(rows=2, capacity=8)
    assert census.incarnations(0) == set()
    page = census.page(0)
    cells = [page.enter(ids.pack(1, 0, generation, 5)) for generation in (3, 3, 4, 7)]
    page.leave(cells[3])
    assert census.incarnations(0) == {incarnation(1, 0, 3), incarnation(1, 0, 4)}


def test_a_page_says_where_the_sockets_are() -> None:
    census = Census(rows=2, capacity=3)
    page = census.page(1)
    cell = page.enter(7, fd=20)
    assert page.sockets[:3].tolist() == [1, 21, 0]
    page.silence(cell)
    page.silence(-1)
    assert page.sockets[cell] == 21 | SILENT
    page.enter(8)  # without a socket of its own
    page.leave(cell)
    assert page.sockets[:3].tolist() == [2, 0, 0]
    page.enter(9, fd=0)
    assert census.page(1).sockets[:3].tolist() == [0, 0, 0], "the next process finds it empty"


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_that_is_not_there_is_an_error(row: int) -> None:
    with pytest.raises(IndexError):
        Census(rows=2, capacity=3).page(row)


def test_a_census_needs_rows_and_cells() -> None:
    for rows, capacity in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="rows and cells"):
            Census(rows, capacity)


def test_cells_that_were_never_used_cost_neither_memory_nor_time() -> None:
    """With a descriptor limit of 10^8 each death of a shard took seconds and a gigabyte."""
    census = Census(rows=4, capacity=1 << 27)  # 4 GiB of address space
    page = census.page(1)
    cells = [page.enter(serial) for serial in (1, 2, 3)]
    page.leave(cells[0])
    tracemalloc.start()
    try:
        assert census.collect(1) == [2, 3]
        assert census.collect(2) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert census.page(1).enter(9) == cells[0]
    assert census.collect(1) == [9]


def test_a_page_that_was_overwritten_is_read_no_further_than_it_is_long() -> None:
    census = Census(rows=2, capacity=3)
    census.page(0).enter(5)
    census.page(1).enter(7)
    census._row(0)[:] = memoryview(b"\xff" * 32).cast("Q")
    assert len(census.collect(0)) == 3
    assert census.collect(1) == [7]
