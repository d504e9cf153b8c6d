"""The terminal the server was started from, in the foreground: whether it has been closed.

Owns that one fact. Closing a terminal sends HUP, as an operator does who wants a reload; only the
terminal itself tells the two apart: to one that was hung up, every question is an error.
"""

import errno
import os
from collections.abc import Iterable


class Terminal:
    """What stdin, stdout or stderr was at the start."""

    def __init__(self, files: Iterable[int] = (0, 1, 2)) -> None:
        """Find the first of `files` that is a terminal with this process in its foreground."""
        self._file = next((file for file in files if _is_ours(file)), None)

    @property
    def is_closed(self) -> bool:
        """Whether there was one, and it has been hung up."""
        if self._file is None:
            return False
        try:
            os.tcgetpgrp(self._file)
        except OSError as error:
            return error.errno in (errno.EIO, errno.ENOTTY)
        return False


def _is_ours(file: int) -> bool:
    try:
        return os.tcgetpgrp(file) == os.getpgrp()
    except OSError:  # no terminal, or not the one that controls us
        return False
