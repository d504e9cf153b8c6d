"""Both bodies of the hot path do the same, bad input included."""

import os
import subprocess
import sys
from collections import namedtuple
from typing import Any

import pytest

from shardws import hotpath
from shardws.events import DataIn
from shardws.stats import BYTES_IN, BYTES_OUT, MESSAGES_IN, MESSAGES_OUT, Stats

WORDS = (MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT)


@pytest.fixture(params=["c", "python"])
def body(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    if request.param == "c":
        pytest.importorskip("shardws._hotpath", exc_type=ImportError)
    return hotpath.select(request.param)


def test_counts_are_seen_in_shared_memory(body: tuple[Any, Any]) -> None:
    row = Stats(1).row(0)
    row[BYTES_IN] = 1 << 40
    counters = body[0](row, *WORDS)
    counters.received(3, 700)
    counters.received(0, 1)
    counters.sent(2, 1 << 33)
    assert [row[word] for word in WORDS] == [3, (1 << 40) + 701, 2, 1 << 33]
    assert sum(row) == sum(row[word] for word in WORDS)


@pytest.mark.parametrize("pair", [(-1, 0), (0, -1)])
def test_counters_only_rise(body: tuple[Any, Any], pair: tuple[int, int]) -> None:
    row = Stats(1).row(0)
    counters = body[0](row, *WORDS)
    with pytest.raises(ValueError, match="only rise"):
        counters.received(*pair)
    with pytest.raises(ValueError, match="only rise"):
        counters.sent(*pair)
    assert not any(row)


def test_a_count_is_two_numbers(body: tuple[Any, Any]) -> None:
    counters = body[0](Stats(1).row(0), *WORDS)
    with pytest.raises(TypeError):
        counters.received(1)
    with pytest.raises(TypeError):
        counters.sent("1", 2)


@pytest.mark.parametrize("index", [-1, 64])
@pytest.mark.parametrize("place", range(4))
def test_words_outside_the_row(body: tuple[Any, Any], place: int, index: int) -> None:
    words = [*WORDS[:place], index, *WORDS[place + 1 :]]
    with pytest.raises(IndexError, match="no such word"):
        body[0](Stats(1).row(0), *words)


def test_words_of_another_size(body: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="format Q"):
        body[0](memoryview(bytearray(512)), *WORDS)


def test_an_event_is_what_its_class_makes(body: tuple[Any, Any]) -> None:
    made = body[1](DataIn, 7, 2, b"data", True)
    assert type(made) is DataIn
    assert made == DataIn(7, 2, b"data", True)
    assert hash(made) == hash(DataIn(7, 2, b"data", True))
    assert (made.connection_id, made.data, made.eom) == (7, b"data", True)


@pytest.mark.parametrize("kind", [int, list, 5, namedtuple("N", "a").__new__])
def test_an_event_of_no_named_tuple(body: tuple[Any, Any], kind: Any) -> None:
    with pytest.raises(TypeError):
        body[1](kind, 1)


def test_the_variable_forces_the_python_bodies() -> None:
    words = "from shardws import hotpath; print(hotpath.make_event is hotpath.record)"
    variables = {**os.environ, "SHARDWS_CODEC": "python"}
    command = [sys.executable, "-c", words]
    found = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shardws._hotpath", None)
    monkeypatch.delattr("shardws._hotpath", raising=False)
    assert hotpath.select("") == (hotpath.Counters, hotpath.record)
    with pytest.raises(ImportError):
        hotpath.select("c")
