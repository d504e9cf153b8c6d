"""Both implementations of the hot path do the same, bad input included."""

import os
import subprocess
import sys
import threading
import time
import types
from typing import Any

import pytest

from shardws import hotpath
from shardws.events import DataIn
from shardws.stats import BYTES_IN, BYTES_OUT, MESSAGES_IN, MESSAGES_OUT, Stats

WORDS = (MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT)


@pytest.fixture(params=["c", "python"])
def implementation(request: pytest.FixtureRequest) -> hotpath.Implementation:
    if request.param == "c":
        pytest.importorskip("shardws._hotpath", exc_type=ImportError)
    return hotpath.select(request.param)


def test_counts_are_seen_in_shared_memory(implementation: hotpath.Implementation) -> None:
    row = Stats(1).row(0)
    row[BYTES_IN] = 1 << 40
    counters = implementation.Counters(row, *WORDS)
    counters.received(3, 700)
    counters.received(0, 1)
    counters.sent(2, 1 << 33)
    assert [row[word] for word in WORDS] == [3, (1 << 40) + 701, 2, 1 << 33]
    assert sum(row) == sum(row[word] for word in WORDS)


@pytest.mark.parametrize("pair", [(-1, 0), (0, -1)])
def test_counters_only_rise(implementation: hotpath.Implementation, pair: tuple[int, int]) -> None:
    row = Stats(1).row(0)
    counters = implementation.Counters(row, *WORDS)
    with pytest.raises(ValueError, match="only rise"):
        counters.received(*pair)
    with pytest.raises(ValueError, match="only rise"):
        counters.sent(*pair)
    assert not any(row)


def test_a_count_is_two_numbers(implementation: hotpath.Implementation) -> None:
    counters = implementation.Counters(Stats(1).row(0), *WORDS)
    with pytest.raises(TypeError):
        counters.received(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        counters.sent("1", 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [-1, 64])
@pytest.mark.parametrize("place", range(4))
def test_words_outside_the_row(
    implementation: hotpath.Implementation, place: int, index: int
) -> None:
    words = [*WORDS[:place], index, *WORDS[place + 1 :]]
    with pytest.raises(IndexError, match="no such word"):
        implementation.Counters(Stats(1).row(0), *words)


def test_words_of_another_size(implementation: hotpath.Implementation) -> None:
    with pytest.raises(ValueError, match="format Q"):
        implementation.Counters(memoryview(bytearray(512)), *WORDS)


def test_a_read_only_row(implementation: hotpath.Implementation) -> None:
    with pytest.raises(BufferError):
        implementation.Counters(memoryview(bytes(512)).cast("Q"), *WORDS)


def test_an_event_is_what_its_class_makes(implementation: hotpath.Implementation) -> None:
    made = implementation.maker(DataIn)(7, 2, b"data", True)
    assert type(made) is DataIn
    assert made == DataIn(7, 2, b"data", True)
    assert hash(made) == hash(DataIn(7, 2, b"data", True))
    assert (made.connection_id, made.data, made.eom) == (7, b"data", True)


NO_NAMED_TUPLES = [int, list, tuple, time.struct_time, os.stat_result, type("Pair", (tuple,), {})]


@pytest.mark.parametrize("kind", NO_NAMED_TUPLES, ids=lambda kind: kind.__name__)
def test_events_of_no_named_tuple(implementation: hotpath.Implementation, kind: Any) -> None:
    """A structure of the interpreter has fields behind those of the tuple: it would crash."""
    with pytest.raises(TypeError, match="not the class of a named tuple"):
        implementation.maker(kind)


def test_a_mark_chooses_by_the_calling_thread(implementation: hotpath.Implementation) -> None:
    mark = implementation.ThreadMark()
    assert mark.ident == 0
    assert mark.choose("here", "elsewhere") == "elsewhere"
    mark.ident = threading.get_ident()
    found = [mark.choose("here", "elsewhere")]
    thread = threading.Thread(target=lambda: found.append(mark.choose("here", "elsewhere")))
    thread.start()
    thread.join()
    assert found == ["here", "elsewhere"]
    with pytest.raises(TypeError):
        mark.choose("here")  # type: ignore[call-arg]


def test_a_mark_holds_nothing(implementation: hotpath.Implementation) -> None:
    mark, thing = implementation.ThreadMark(), object()
    before = sys.getrefcount(thing)
    for _ in range(1000):
        mark.choose(thing, thing)
    assert sys.getrefcount(thing) == before


def test_the_variable_forces_the_python_implementations() -> None:
    words = "from shardws import hotpath; print(hotpath.implementation.IMPLEMENTATION)"
    variables = {**os.environ, "SHARDWS_CODEC": "python"}
    command = [sys.executable, "-c", words]
    found = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert found.stdout == "python\n"


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shardws._hotpath", None)
    assert hotpath.select("").IMPLEMENTATION == "python"
    with pytest.raises(ImportError):
        hotpath.select("c")


def test_an_extension_of_older_source(monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("shardws._hotpath")
    monkeypatch.setitem(sys.modules, "shardws._hotpath", old)
    assert hotpath.select("").IMPLEMENTATION == "python"
    with pytest.raises(ImportError, match="was not built of this source"):
        hotpath.select("c")
