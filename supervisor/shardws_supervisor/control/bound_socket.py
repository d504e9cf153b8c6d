"""The control socket's file, bound with mode 0600 in the run directory (0700).

A cleaner of temporary files may remove the file: the socket still listens, but nobody can find it.
`is_in_place` detects that.
"""

import os
import socket
from pathlib import Path

from shardws.errors import StartError, code_of_errno


class BoundSocket:
    """A listening Unix socket and its file."""

    def __init__(self, path: Path, backlog: int) -> None:
        """Bind and listen; StartError when the path cannot be bound."""
        self._path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)  # 0600 from the first moment, not after a chmod
        try:
            self.sock.bind(str(path))
            self.sock.listen(backlog)
            self._file = path.lstat()
        except OSError as error:
            self.sock.close()
            raise _failed(path, error) from None
        finally:
            os.umask(mask)

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to this socket."""
        try:
            return os.path.samestat(self._path.lstat(), self._file)
        except OSError:
            return False

    def successor(self, backlog: int) -> "BoundSocket":
        """Return a new socket bound to the path, replacing what is there; StartError as above."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self._path, error) from None
        return BoundSocket(self._path, backlog)


def _failed(path: Path, error: OSError) -> StartError:
    return StartError(f"control socket {path}: {error.strerror}", code=code_of_errno(error.errno))
