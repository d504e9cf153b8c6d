"""The command that writes the pages, and the check that those in the repository are up to date."""

import runpy
import sys
from pathlib import Path

import pytest

from tools.render import DIRECTORY, PAGES, main

ROOT = Path(__file__).parents[2]


def test_the_pages_of_the_repository_are_up_to_date() -> None:
    assert main(["--check", str(ROOT / DIRECTORY)]) == 0, "run `make pages`"


def test_writing_makes_what_checking_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "a" / "b"
    assert main(["--check", str(directory)]) == 1
    assert capsys.readouterr().out.count("is out of date") == len(PAGES)
    assert main([str(directory)]) == 0
    assert capsys.readouterr().out.count("wrote ") == len(PAGES)
    assert main(["--check", str(directory)]) == 0
    assert capsys.readouterr().out == ""


def test_a_page_that_differs_is_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(tmp_path)])
    (tmp_path / "codes.md").write_text("old")
    capsys.readouterr()
    assert main(["--check", str(tmp_path)]) == 1
    assert "codes.md is out of date" in capsys.readouterr().out
    assert (tmp_path / "codes.md").read_text() == "old"
    main([str(tmp_path)])
    assert capsys.readouterr().out == f"wrote {tmp_path / 'codes.md'}\n"


def test_the_module_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tools.render")
    monkeypatch.setattr(sys, "argv", ["render", "--check", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("tools.render", run_name="__main__")
    assert ended.value.code == 1
