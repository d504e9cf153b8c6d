"""The terminal from which the server was started in the foreground: whether it has been closed.

Closing a terminal sends HUP, and so does an operator who wants a reload; only the terminal itself
tells the two apart: after a hangup every ioctl on it fails.
"""

import errno
import os
from collections.abc import Iterable


class Terminal:
    """The terminal that was stdin, stdout or stderr at the start."""

    def __init__(self, files: Iterable[int] = (0, 1, 2)) -> None:
        """Find the first of `files` that is a terminal with this process in its foreground."""
        self._file = next((file for file in files if _is_ours(file)), None)

    @property
    def is_closed(self) -> bool:
        """Whether there was a terminal and it has been closed."""
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
    except OSError:  # no terminal, or not our controlling one
        return False
