"""Which server is meant, and whether it is one to be believed.

Owns the search for the run directory, and the checks that keep what is sent from another user: in
/tmp anybody can make a directory of any name. A default place must be this user's own; a directory
that was named may be root's, and root may name that of a service, where only some can make one.
Whoever listens in it, as the kernel knows him (SO_PEERCRED, unix(7)), must be this user, root, or
the one whose directory root named.
Both clients open their connections here; nothing of it waits.
"""

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from shardws.control import endpoint, failures
from shardws.errors import ControlError

PAUSE: Final = 0.02  # seconds until the next try while a server has no room for a connection
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
_ROOT: Final = 0


class Location:
    """The place of one server; `path`, its run directory, is known from the first `dial` on."""

    def __init__(self, run_directory: Path | None, port: int | None) -> None:
        self._is_named = run_directory is not None
        self._port = port
        self.path = run_directory

    def dial(self) -> socket.socket | None:
        """Return a connection, or None while the server has no room: ask again after PAUSE.

        ControlError when there is no server, several are there to choose from, or it is another
        user's.
        """
        if self.path is None:
            self.path = find(self._port)
        return dial(self.path, is_named=self._is_named)


def find(port: int | None) -> Path:
    """Return the default run directory for a port, or that of the one server of this user."""
    if port is not None:
        return endpoint.default_directory(port)
    found = [path for path in endpoint.candidates() if is_alive(path)]
    if not found:
        raise failures.none_found()
    if len(found) > 1:
        raise failures.several_found(found)
    return found[0]


def is_alive(path: Path, *, is_named: bool = False) -> bool:
    """Tell whether a server to be believed listens in a run directory."""
    try:
        sock = dial(path, is_named=is_named)
    except ControlError:
        return False
    if sock is not None:
        sock.close()
    return True


def dial(path: Path, *, is_named: bool) -> socket.socket | None:
    """Connect to the control socket in a run directory, as Location.dial does."""
    try:
        trusted = _trusted(path, is_named=is_named)
    except PermissionError:
        raise failures.not_ours(path) from None
    except (OSError, ValueError):  # ValueError: a zero in the name
        raise failures.none_runs(path) from None
    if not trusted:
        raise failures.not_ours(path)
    sock = _connect(path)
    if sock is not None and _uid_of_peer(sock) not in trusted:
        sock.close()
        raise failures.not_ours(path)
    return sock


def _trusted(path: Path, *, is_named: bool) -> set[int]:
    """Return the users who may listen in a directory; none when the directory is another's."""
    me = os.geteuid()
    if not is_named:
        return {me, _ROOT} if path.lstat().st_uid == me else set()
    owner = path.stat().st_uid
    if owner in (me, _ROOT):
        return {me, _ROOT}
    is_open_to_all = path.resolve().parent.stat().st_mode & stat.S_IWOTH
    return {owner, _ROOT} if me == _ROOT and not is_open_to_all else set()


def _connect(path: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(os.fspath(path / endpoint.CONTROL_SOCKET))
    except OSError as error:
        sock.close()
        if isinstance(error, BlockingIOError):  # its backlog is full; it never means "in progress"
            return None
        if isinstance(error, PermissionError):
            raise failures.not_ours(path) from None
        raise failures.none_runs(path) from None
    return sock


def has_ended(sock: socket.socket) -> bool:
    """Tell whether the server has ended a non-blocking connection: before a request is risked."""
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _uid_of_peer(sock: socket.socket) -> int:
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])
