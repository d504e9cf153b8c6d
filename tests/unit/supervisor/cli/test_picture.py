"""picture: top in a terminal of any size."""

import os
import pty
import sys
import termios

import pytest

from shardws_supervisor.cli import picture

LINES = ["server", "", "0 ready", "1 ready", "2 ready"]


@pytest.mark.parametrize(
    ("columns", "rows", "shown"),
    [
        (80, 24, LINES),
        (80, 5, LINES),
        (80, 4, ["server", "", "0 ready", "... 2 more lines"]),
        (80, 1, ["... 5 more lines"]),
        (3, 5, ["ser", "", "0 r", "1 r", "2 r"]),
        (0, 0, LINES),
        (80, -1, LINES),
    ],
)
def test_fit(columns: int, rows: int, shown: list[str]) -> None:
    """S13: longer pictures scrolled, and wider ones wrapped, so that each was drawn elsewhere."""
    assert picture.fit(LINES, columns, rows) == shown


def test_wide_characters_take_two_columns() -> None:
    assert picture.fit(["漢字x"], 4, 9) == ["漢字"]
    assert picture.fit(["漢字x"], 3, 9) == ["漢"]


def test_what_is_escaped_is_counted_as_it_is_shown() -> None:
    assert picture.fit(["\x1b[2J"], 5, 9) == ["\\x1b["]


def test_a_picture_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (4, 12))
    with os.fdopen(slave, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        picture.draw(["a line of more than twelve", "1", "2", "3"])
        drawn = os.read(master, 4096).decode()
    os.close(master)
    assert drawn == "\x1b[Ha line of mo\x1b[K\r\n1\x1b[K\r\n... 2 more l\x1b[K\r\n\x1b[J"


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    picture.draw(["x" * 500] * 100)
    assert capsys.readouterr().out == ("x" * 500 + "\n") * 100 + "\n"
