"""The choice of the codec's implementation."""

import sys

import pytest

from shardws.protocol import codec, frames


def test_the_python_implementation_can_be_forced() -> None:
    assert codec.select("python") is frames


@pytest.mark.parametrize("forced", ["", "c"])
def test_the_c_implementation_is_taken_when_it_was_built(forced: str) -> None:
    extension = pytest.importorskip("shardws.protocol._frames", exc_type=ImportError)
    assert codec.select(forced) is extension
    assert extension.IMPLEMENTATION == "c"


def test_without_the_extension_the_python_implementation_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "shardws.protocol._frames", None)
    monkeypatch.delattr("shardws.protocol._frames", raising=False)
    assert codec.select("") is frames
    with pytest.raises(ImportError):
        codec.select("c")


def test_an_extension_of_older_source_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    extension = pytest.importorskip("shardws.protocol._frames", exc_type=ImportError)
    monkeypatch.setattr(extension, "CONTRACT", frames.CONTRACT - 1)
    assert codec.select("") is frames
    with pytest.raises(ImportError, match="was not built of this source"):
        codec.select("c")
    monkeypatch.delattr(extension, "CONTRACT")
    assert codec.select("") is frames
    with pytest.raises(ImportError, match="was not built of this source"):
        codec.select("c")


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="'rust'"):
        codec.select("rust")


def test_what_runs_is_said() -> None:
    assert codec.IMPLEMENTATION in ("c", "python")
    assert codec.IMPLEMENTATION == codec.implementation.IMPLEMENTATION
