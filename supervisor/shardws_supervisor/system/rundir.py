"""The run directory: where the sockets of one server lie, for its user alone.

Owns the directory, its lock and its cleaning; knows not who listens on the sockets in it. The lock
is a flock on `supervisor.pid`: it falls with the process however that ends, so a pid file left
behind never stops a new server, and one that is held names the pid that holds it.
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from shardws.control.endpoint import CONTROL_SOCKET
from shardws.errors import StartError, code_of_errno

PID_FILE = "supervisor.pid"
LONGEST_NAME = "shard-511.sock"  # of the sockets put into it
PATH_LIMIT = 107  # sun_path without its final zero (unix(7))


class RunDirectory:
    """A directory held by this process."""

    def __init__(self, path: Path) -> None:
        """Make it, lock it and clean it; StartError says what is in the way."""
        self.path = path.absolute()
        if len(os.fsencode(self.path / LONGEST_NAME)) > PATH_LIMIT:
            raise StartError(f"run directory {self.path}: the path is too long for Unix sockets")
        try:
            self._is_ours = self._make()
        except OSError as error:
            raise self._error("cannot be made", error) from None
        try:
            self._lock = self._take_lock()
            self._remove_stale()
        except OSError as error:
            raise self._error("cannot be written", error) from None

    def _error(self, what: str, error: OSError) -> StartError:
        where = ""
        if error.filename and Path(os.fsdecode(error.filename)) != self.path:
            where = f" ({Path(os.fsdecode(error.filename)).name})"
        reason = f"run directory {self.path} {what}: {error.strerror}{where}"
        return StartError(reason, code=code_of_errno(error.errno))

    @property
    def control_path(self) -> Path:
        return self.path / CONTROL_SOCKET

    def _make(self) -> bool:
        if self.path.exists() or self.path.is_symlink():
            self._check_existing()
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700)
        return True

    def _check_existing(self) -> None:
        """Refuse a directory in which others could put sockets of their own."""
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise StartError(f"run directory {self.path} is no directory")
        if found.st_uid != os.geteuid():
            raise StartError(f"run directory {self.path} belongs to user {found.st_uid}")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise StartError(
                f"run directory {self.path} is open to others (mode {mode:04o}): chmod 700 it"
            )

    def _take_lock(self) -> int:
        """Return the locked descriptor of the pid file."""
        file = self.path / PID_FILE
        while True:
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
                os.close(lock)
                raise StartError(
                    f"run directory {self.path} is in use by the server with pid {holder}",
                    code=10048,
                ) from None
            if self._is_same(file, lock):
                break
            os.close(lock)  # its holder removed it while it went: take the new one
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock

    @staticmethod
    def _is_same(file: Path, lock: int) -> bool:
        try:
            return os.path.samestat(file.stat(), os.fstat(lock))
        except FileNotFoundError:
            return False

    def _remove_stale(self) -> None:
        for file in self.path.glob("*.sock"):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()

    def close(self) -> None:
        """Let go of the lock without cleaning: what a forked child does."""
        os.close(self._lock)

    def remove(self) -> None:
        """Clean up behind the server, then let go."""
        with contextlib.suppress(OSError):  # nothing can be done about it any more
            self._remove_stale()
            (self.path / PID_FILE).unlink()
        if self._is_ours:
            with contextlib.suppress(OSError):  # somebody put a file of his own into it
                self.path.rmdir()
        self.close()
