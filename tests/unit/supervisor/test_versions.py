"""versions: the log's first line and the status say which implementations run."""

import pytest

from shardws import hotpath
from shardws.net import pump
from shardws.protocol import codec
from shardws.routing import links
from shardws_supervisor.system import versions


def test_one_implementation_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = hotpath.implementation.IMPLEMENTATION
    monkeypatch.setattr(codec, "IMPLEMENTATION", ours)
    monkeypatch.setattr(pump, "IMPLEMENTATION", ours)
    monkeypatch.setattr(links, "IMPLEMENTATION", ours)
    assert versions.report()["codec"] == ours
    assert versions.banner().endswith(f", {ours} codec and data path")


def test_a_part_that_could_not_be_built_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = hotpath.implementation.IMPLEMENTATION
    monkeypatch.setattr(codec, "IMPLEMENTATION", ours)
    monkeypatch.setattr(pump, "IMPLEMENTATION", "other")
    monkeypatch.setattr(links, "IMPLEMENTATION", "another")
    assert versions.report()["codec"] == f"{ours} (with other data path, another links)"
