"""directory: the name counts, so that a deploy may let a link point elsewhere."""

import os
import sys
from pathlib import Path

import pytest

from shardws.errors import EXIT_CANNOT_START, StartError
from shardws_supervisor.plan import directory


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two releases and a link to the first, which is the current directory."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("one")
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setenv("PWD", str(tmp_path / "current"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_the_name_of_the_shell_is_kept_and_followed(releases: Path) -> None:
    found = directory.current(os.environ)
    assert (found.name, found.started_in) == (str(releases / "current"), str(releases / "one"))
    sys.path.insert(0, str(releases / "one"))  # as `python -m` does
    (releases / "current").unlink()
    (releases / "current").symlink_to("two")
    found.enter()
    assert os.getcwd() == str(releases / "two")
    assert sys.path[0] == str(releases / "current")
    assert str(releases / "one") not in sys.path
    found.enter()
    assert sys.path.count(str(releases / "current")) == 1


@pytest.mark.parametrize("name", ["", "current", "/nosuch", "/tmp"])
def test_a_name_that_leads_elsewhere_does_not_count(releases: Path, name: str) -> None:
    assert directory.current({"PWD": name}).name == str(releases / "one")


def test_a_directory_below(releases: Path) -> None:
    found = directory.current(os.environ)
    assert found.below("") == found
    assert found.below("app").name == str(releases / "current" / "app")
    assert found.below("/srv/app").name == "/srv/app"


def test_one_that_is_gone_is_a_sentence(releases: Path) -> None:
    found = directory.current(os.environ)
    (releases / "current").unlink()
    with pytest.raises(StartError, match="current cannot be entered: No such file") as caught:
        found.enter()
    assert caught.value.exit_code == EXIT_CANNOT_START


def test_a_current_directory_that_is_gone_is_a_sentence(releases: Path) -> None:
    (releases / "one").rmdir()
    with pytest.raises(StartError, match="the current directory is gone"):
        directory.current(os.environ)
    os.chdir(releases)
