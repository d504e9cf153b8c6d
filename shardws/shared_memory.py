"""A block of shared memory that has a descriptor, so that it outlives an exec.

Owns the memfd and its mapping. Forked processes inherit the mapping; the descriptor is only needed
to map the same memory again in a process image that does not have it, and a fork closes its copy.
"""

import contextlib
import mmap
import os


class SharedMemory:
    """Zeroed memory of `size` bytes, or that of the descriptor `file`, which is then owned here."""

    def __init__(self, name: str, size: int, file: int | None = None) -> None:
        """OSError when it cannot be made or mapped, ValueError when `file` has another size."""
        self._file = -1
        self._file = os.memfd_create(name, os.MFD_CLOEXEC) if file is None else file
        if file is None:
            os.ftruncate(self._file, size)
        elif os.fstat(file).st_size != size:
            raise ValueError(f"{name}: {os.fstat(file).st_size} bytes, not {size}")
        self._map = mmap.mmap(self._file, size)
        self.bytes = memoryview(self._map)

    def fileno(self) -> int:
        return self._file

    def close(self) -> None:
        """Close the descriptor; what is mapped stays."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()
