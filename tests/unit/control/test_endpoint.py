"""endpoint: where a server of this user is looked for."""

import os
from pathlib import Path

import pytest

from shardws.control import endpoint


def test_default_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert endpoint.default_directory(9001) == tmp_path / "shardws-9001"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert endpoint.default_directory(9001) == Path(f"/tmp/shardws-{os.getuid()}-9001")


def test_a_directory_of_somebody_else_is_no_candidate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Anybody can make /tmp/shardws-UID-PORT: what is sent there would be his."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "shardws-1").mkdir()
    (tmp_path / "shardws-1" / endpoint.CONTROL_SOCKET).touch()
    assert tmp_path / "shardws-1" in endpoint.candidates()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert tmp_path / "shardws-1" not in endpoint.candidates()
    assert not endpoint.is_ours(tmp_path / "shardws-1")


def test_a_directory_that_is_not_there_is_nobody_s(tmp_path: Path) -> None:
    assert not endpoint.is_ours(tmp_path / "none")
