"""The run directory: contains the sockets of one server, accessible to its user only.

Owns the directory, its lock and its cleanup. The lock is a flock on `supervisor.pid`: the kernel
releases it when the process ends, however that happens, so a stale pid file never blocks a new
server, and a locked one names the pid of the holder.

The directory itself is locked too, shared: systemd-tmpfiles leaves a locked directory in /tmp alone
(tmpfiles.d(5)). Other cleaners do not, so what they removed is restored by `mend`.
"""

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shardws.control.endpoint import CONTROL_SOCKET
from shardws.errors import StartError, code_of_errno
from shardws.shard.leadership import LOCK_FILE
from shardws_supervisor.system.kept import Descriptor

PID_FILE = "supervisor.pid"
LONGEST_NAME = "shard-511.sock"  # the longest name of a socket in it
PATH_LIMIT = 107  # sun_path without its final zero (unix(7))


@dataclass(frozen=True, slots=True)
class KeptDirectory:
    """The run directory, kept over an exec."""

    path: str
    held: Descriptor
    lock: Descriptor
    is_ours: bool  # made by this server, so removed by it


class RunDirectory:
    """A directory held by this process."""

    def __init__(self, path: Path) -> None:
        """Make it, lock it and clean it; StartError says what prevents that."""
        self.path = path.absolute()
        if len(os.fsencode(self.path / LONGEST_NAME)) > PATH_LIMIT:
            raise StartError(f"run directory {self.path}: the path is too long for Unix sockets")
        try:
            self._is_ours = self._make()
        except OSError as error:
            raise self._error("cannot be made", error) from None
        try:
            self._held, self._lock = self._take()
            self._remove_stale()
        except OSError as error:
            raise self._error("cannot be written", error) from None

    def keep(self) -> KeptDirectory:
        """Return what `adopt` needs; the locks belong to the open files, so an exec keeps them."""
        held, lock = Descriptor(self._held), Descriptor(self._lock)
        return KeptDirectory(str(self.path), held, lock, self._is_ours)

    @classmethod
    def adopt(cls, kept: KeptDirectory) -> Self:
        """Return the directory that this process held before an exec."""
        adopted = cls.__new__(cls)
        adopted.path = Path(kept.path)
        adopted._held, adopted._lock, adopted._is_ours = kept.held, kept.lock, kept.is_ours
        return adopted

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
            raise StartError(f"run directory {self.path} is not a directory")
        if found.st_uid != os.geteuid():
            raise StartError(f"run directory {self.path} belongs to user {found.st_uid}")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise StartError(
                f"run directory {self.path} is open to others (mode {mode:04o}): chmod 700 it"
            )

    def _take(self) -> tuple[int, int]:
        """Return the descriptors that hold the directory and the pid file."""
        held = self._hold()
        try:
            return held, self._take_lock()
        except BaseException:
            os.close(held)
            raise

    def _hold(self) -> int:
        """Return a locked descriptor of the directory."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            held = os.open(self.path, flags)
        except OSError as error:
            raise self._error("cannot be read", error) from None
        _lock_shared(held)
        return held

    def mend(self) -> bool:
        """Restore what was removed, and lock it; True when something was.

        StartError says what prevents it, for example another server that uses the path now.
        """
        _lock_shared(self._held)
        if self._is_in_place:
            return False
        self._is_ours |= self._make()
        old = self._held, self._lock
        self._held, self._lock = self._take()
        for descriptor in old:
            os.close(descriptor)
        return True

    @property
    def _is_in_place(self) -> bool:
        """Whether the path still leads to our directory and our pid file."""
        pid_file = self.path / PID_FILE
        return self._is_same(self.path, self._held) and self._is_same(pid_file, self._lock)

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
            os.close(lock)  # its holder removed it while ending: take the new one
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock

    @staticmethod
    def _is_same(file: Path, lock: int) -> bool:
        try:
            return os.path.samestat(file.stat(), os.fstat(lock))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _remove_stale(self) -> None:
        for file in [*self.path.glob("*.sock"), self.path / LOCK_FILE]:
            with contextlib.suppress(FileNotFoundError):
                file.unlink()

    def close(self) -> None:
        """Close the locks without cleanup: for a forked child."""
        os.close(self._lock)
        os.close(self._held)

    def remove(self) -> None:
        """Clean up after the server, then unlock; another server's files stay."""
        with contextlib.suppress(OSError):  # nothing can be done about it now
            if self._is_in_place:
                self._clean_up()
        self.close()

    def _clean_up(self) -> None:
        self._remove_stale()
        (self.path / PID_FILE).unlink()
        if self._is_ours:
            self.path.rmdir()  # fails when there are files of others in it


def _lock_shared(directory: int) -> None:
    """Lock a directory without waiting for a cleaner that holds it right now."""
    with contextlib.suppress(OSError):
        fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
