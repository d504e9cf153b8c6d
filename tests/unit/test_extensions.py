"""The C extensions are optional at build: one that fails to build is noticed by nobody else."""

import shutil
from importlib import import_module

import pytest


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
