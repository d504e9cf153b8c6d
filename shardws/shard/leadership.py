"""One leader among the shards of a server, for work that only one of them may do.

Owns the lock. It is a POSIX record lock on a file in the run directory: the kernel releases it when
the process ends, however that happens, and a process forked by the application does not inherit it.
So there are never two leaders, and who asks every LOOK_S finds within that time that the old one is
gone. A shard without a run directory has no peers, and always leads.

A cleaner of temporary files may remove the file; a leader whose file is not at its path any more
takes the new one.
"""

import contextlib
import fcntl
import os
from typing import Final

LOCK_FILE: Final = "leader.lock"
LOOK_S: Final = 0.25  # how often a shard that wants to lead asks


class Leadership:
    """This shard's part in it."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, LOCK_FILE) if directory else ""
        self._file = -1
        self._is_leader = False

    def ask(self) -> bool:
        """Become the leader if there is none; return whether this shard is it."""
        if not self._path:
            return True
        if self._is_leader and not self._is_in_place():
            self.resign()
        if not self._is_leader:
            self._is_leader = self._take()
        return self._is_leader

    def resign(self) -> None:
        """Let another shard lead."""
        self._is_leader = False
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self) -> bool:
        """Lock the file at the path; False while another process has it, or it cannot be made."""
        with contextlib.suppress(OSError):
            if self._file < 0 or not self._is_in_place():
                self.resign()
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._file = os.open(self._path, flags, 0o600)
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._is_in_place()
        return False

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except OSError:
            return False
