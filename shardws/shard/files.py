"""A file as the content of one message.

Owns opening, reading and closing. Reading is done on the loop, in pieces of
64 KiB at most turn by turn: the kernel reads ahead, and a thread would cost more than it saves.

The message has the size that the file had when it was opened. What is appended later is left out,
so a file that grows all the time has an end; and one that becomes shorter is an error, since the
client would take a part for the whole.
"""

import errno
import os
import stat
from collections.abc import Callable

from shardws import arguments
from shardws.errors import ShardwsError
from shardws.outcomes import Outcome

Path = str | os.PathLike[str]


class FileSource:
    """An open regular file (interfaces.Source)."""

    def __init__(self, path: Path) -> None:
        """Open it; ShardwsError 302 says why that failed, UsageError (213) for no path."""
        self.wake: Callable[[], None] = lambda: None  # a file always has more, or is at its end
        self._fd = -1
        if not isinstance(path, str | bytes | os.PathLike):
            raise arguments.bad("a file", "a path", path)
        try:
            # Non-blocking: opening a pipe without a writer would block the shard.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ShardwsError(f"cannot open {path!r:.200}: {reason}", code=302) from error
        self._fd = fd
        found = os.fstat(fd)
        self._size = self._left = found.st_size  # bytes
        unfit = _unfit(fd, found)
        if unfit:
            self.finish(Outcome.DROPPED)
            raise ShardwsError(f"cannot open {path!r:.200}: {unfit}", code=302)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read(self, limit: int) -> bytes:
        """Return the next bytes, none at the end; OSError when they cannot be read."""
        piece = os.read(self._fd, min(limit, self._left))
        if not piece and self._left:
            sent = self._size - self._left
            text = f"the file of {self._size} bytes ended after {sent}: it was made shorter"
            raise OSError(errno.EIO, text)
        self._left -= len(piece)
        return piece

    def finish(self, outcome: Outcome) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.finish(Outcome.DROPPED)


def _unfit(fd: int, found: os.stat_result) -> str:
    """Return why an open file cannot be sent as a message, or ""."""
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    # Files of /proc and the like report size 0, whatever they contain.
    if not found.st_size and os.pread(fd, 1, 0) and not os.fstat(fd).st_size:
        return "its size is not known"
    return ""
