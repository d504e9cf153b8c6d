"""The disk, and the words for what is wrong with a path."""

from pathlib import Path

import pytest

from shardws.errors import TLSSetupError
from shardws.tls import files


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    assert files.read(str(path), 271) == b"content"
    assert files.exists(str(path))
    assert not files.exists(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing", "No such file"), (".", "Is a directory"), ("nul\0", "null|NUL|embedded")],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(TLSSetupError, match=words) as caught:
        files.read(str(tmp_path / name), 273)
    assert caught.value.code == 273


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert len(files.read(str(path), 271)) == 10
    path.write_bytes(b"x" * 11)
    with pytest.raises(TLSSetupError, match="larger than 10"):
        files.read(str(path), 271)


def test_names_in_follows_links_once(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "0f1e2d3c.0").symlink_to(tmp_path / "a")
    (tmp_path / "folder").mkdir()
    assert files.names_in(str(tmp_path), 273) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_names_in_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(TLSSetupError, match="No such file"):
        files.names_in(str(tmp_path / "missing"), 273)


def test_names_in_a_huge_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 0)
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(TLSSetupError, match="more than 0 files"):
        files.names_in(str(tmp_path), 273)


def test_as_file_is_gone_afterwards() -> None:
    with files.as_file(b"data") as path:
        assert Path(path).read_bytes() == b"data"
    assert not Path(path).exists()
