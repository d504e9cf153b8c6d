"""One refresh of `shardws top`: as many lines and columns as the terminal has.

Owns the terminal's size and the escape sequences that draw without flicker; display has the lines.
"""

import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import Final

from shardws.log import escaped
from shardws_supervisor.cli import output

# Cursor home, clear each line to its end, then clear everything below.
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K\n"
_BELOW: Final = "\x1b[J"


def draw(lines: Sequence[str]) -> None:
    """Draw over the previous output; to a pipe, write the lines and an empty one. OutputError."""
    if sys.stdout is None or not sys.stdout.isatty():
        output.lines([*lines, ""])
        return
    size = os.get_terminal_size(sys.stdout.fileno())  # queried each time: it may have changed
    # The cursor is on the line after the last one, which leaves one line less.
    shown = fit(lines, size.columns, size.lines - 1)
    output.raw(_HOME + "".join(line + _END_OF_LINE for line in shown) + _BELOW)


def fit(lines: Sequence[str], columns: int, rows: int) -> list[str]:
    """Return the lines that fit the terminal, escaped; the last says how many are left out.

    A size below 1 means that the terminal does not report it: nothing is left out then.
    """
    shown = list(lines)
    if 0 < rows < len(shown):
        kept = shown[: rows - 1]
        shown = [*kept, f"... {len(shown) - len(kept)} more lines"]
    shown = [escaped(line) for line in shown]
    return [_cut(line, columns) for line in shown] if columns > 0 else shown


def _cut(line: str, columns: int) -> str:
    left = columns
    for at, char in enumerate(line):
        left -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if left < 0:
            return line[:at]
    return line
