"""The C extensions are optional at build: one that fails to build is noticed by nobody else."""

import shutil
from importlib import import_module

import pytest

from shardws.net import pump
from shardws.net.pump import twin


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
