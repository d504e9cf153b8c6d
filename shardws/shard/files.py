"""A file as the content of one message.

Owns opening, reading and closing; knows no connection. Reading is done on the loop, in pieces of
64 KiB at most turn by turn: the kernel reads ahead, and a thread would cost more than it saves.
"""

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
        """Open it; ShardwsError 302 says why that cannot be, UsageError (213) for no path."""
        self.wake: Callable[[], None] = lambda: None  # a file always has more, or is at its end
        self._fd = -1
        if not isinstance(path, str | bytes | os.PathLike):
            raise arguments.bad("a file", "a path", path)
        try:
            # Not blocking: opening a pipe that nobody writes to would stop the shard.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ShardwsError(f"cannot open {path!r:.200}: {reason}", code=302) from error
        self._fd = fd
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self.finish(Outcome.DROPPED)
            raise ShardwsError(f"cannot open {path!r:.200}: not a regular file", code=302)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read(self, limit: int) -> bytes:
        """Return the next bytes, none at the end; OSError when they cannot be read."""
        return os.read(self._fd, limit)

    def finish(self, outcome: Outcome) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.finish(Outcome.DROPPED)
