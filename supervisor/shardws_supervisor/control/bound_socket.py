"""The control socket's file, bound with mode 0600 in the run directory (0700).

A cleaner of temporary files may remove the file: the socket still listens, but nobody can find it.
`is_in_place` detects that.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shardws.errors import StartError, code_of_errno
from shardws.net import sockets
from shardws_supervisor.system.kept import Descriptor


@dataclass(frozen=True, slots=True)
class KeptSocket:
    """The control socket and which file it is, kept over an exec."""

    sock: Descriptor
    device: int
    inode: int


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
            self._file = _identity(path)
        except OSError as error:
            self.sock.close()
            raise _failed(path, error) from None
        finally:
            os.umask(mask)

    def keep(self) -> KeptSocket:
        """Return what `adopt` needs."""
        return KeptSocket(Descriptor(self.sock.fileno()), *self._file)

    @classmethod
    def adopt(cls, path: Path, kept: KeptSocket) -> Self:
        """Return the socket that this process had before an exec."""
        adopted = cls.__new__(cls)
        adopted._path = path
        adopted.sock = sockets.adopted(kept.sock)
        adopted._file = kept.device, kept.inode
        return adopted

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to this socket."""
        try:
            return _identity(self._path) == self._file
        except OSError:
            return False

    def successor(self, backlog: int) -> "BoundSocket":
        """Return a new socket bound to the path, replacing what is there; StartError as above."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self._path, error) from None
        return BoundSocket(self._path, backlog)


def _identity(path: Path) -> tuple[int, int]:
    """Return device and inode of a file; OSError."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _failed(path: Path, error: OSError) -> StartError:
    return StartError(f"control socket {path}: {error.strerror}", code=code_of_errno(error.errno))
