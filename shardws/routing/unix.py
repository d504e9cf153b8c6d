"""Unix stream sockets: where a shard listens, how a peer is dialed, and who is at the other end.

Owns the socket calls and the checks of the peer by the kernel (SO_PEERCRED).
"""

import contextlib
import os
import socket
import stat
import struct
from typing import Any, Final

from shardws.errors import StartError, WireError

LISTEN_BACKLOG: Final = 1024
# Linux doubles it, to its own default. uvloop reads 250 KiB at once, and again in the same turn of
# the loop when that was filled: a link that holds less leaves the loop to the clients after one
# read, however fast its peer writes.
SEND_BUFFER: Final = 106_496  # bytes
CREDENTIALS: Final = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


def credentials(sock: Any) -> tuple[int, int]:
    """Return (pid, uid) of the other end; on a dialed socket: of the process that listens."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(raw)
    return pid, uid


def check_directory(path: str) -> None:
    """Raise StartError unless only our own user may put sockets there.

    Peers trust what they find by its path.
    """
    found = os.stat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartError(f"the run directory must be a directory of our own with mode 0700: {path}")


def listen(path: str) -> socket.socket:
    """Return a listening socket; OSError, also when something is there already."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        sock.listen(LISTEN_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def dial(path: str, pid: int | None) -> socket.socket:
    """Return a socket connected to process `pid`; OSError, or WireError for another process."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        # On a Unix socket this connects or fails at once, EAGAIN for a full backlog included.
        sock.connect(path)
        found, uid = credentials(sock)
        if uid != os.geteuid() or found != pid:
            raise WireError(f"process {found} of user {uid} listens there, not {pid}")
    except BaseException:
        sock.close()
        raise
    return sock


def remove(path: str) -> None:
    """Remove a socket from the directory, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
