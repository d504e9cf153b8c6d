"""The C extensions are optional at build: one that fails to build is noticed by nobody else."""

import shutil
from importlib import import_module

import pytest

from shardws.net import pump
from shardws.net.pump import twin
from shardws.shard import keeper


@pytest.mark.parametrize(
    "name",
    [
        "shardws.protocol._frames",
        "shardws._hotpath",
        "shardws.net.pump._pump",
        "shardws.routing._links",
    ],
)
def test_an_extension_is_there_where_a_compiler_is(name: str) -> None:
    """A renamed header once left the Python implementation to run, at half the speed."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here (Debian package: gcc)")
    assert import_module(name).IMPLEMENTATION == "c"


def test_a_pump_of_older_source_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale `.so` was taken as it was, and failed somewhere in the data path."""
    extension = pytest.importorskip("shardws.net.pump._pump", exc_type=ImportError)
    assert pump.select("") is pump.select("c") is extension
    monkeypatch.setattr(extension, "CONTRACT", twin.CONTRACT - 1)
    assert pump.select("") is twin
    with pytest.raises(ImportError, match="_pump was not built of this source"):
        pump.select("c")
    monkeypatch.delattr(extension, "CONTRACT")
    assert pump.select("") is twin
    with pytest.raises(ImportError, match="_pump was not built of this source"):
        pump.select("c")


def test_the_keeper_is_there_where_a_compiler_is() -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here (Debian package: gcc)")
    module = import_module("shardws.shard._keeper")
    assert module.CONTRACT == keeper.CONTRACT
    with pytest.raises(ValueError, match="cells of 4 bytes"):
        module.start(bytearray(16), -1, b"")
    with pytest.raises(ValueError, match="at most 127"):
        module.start(memoryview(bytearray(16)).cast("I"), -1, bytes(128))


def test_the_goodbye_is_a_close_frame_of_a_server() -> None:
    frame = keeper.goodbye()
    assert frame[:4] == bytes([0x88, len(frame) - 2]) + (1012).to_bytes(2, "big")
