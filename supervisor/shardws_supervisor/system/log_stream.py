"""Writes the bytes of log lines without ever waiting for their reader.

Owns one descriptor and how it is written. O_NONBLOCK belongs to the open file description, which
stderr shares with other programs (the shell, a container's runtime), so it is never set on that:
a pipe and a terminal are reopened through /proc/self/fd, which makes a description of our own, and
a socket is written with MSG_DONTWAIT. Where neither is possible (a pipe of another user), the
stream is polled before each piece of PIPE_BUF bytes.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import stat
from typing import Final

PIPE_BUF: Final = select.PIPE_BUF  # a pipe takes that much atomically, or nothing


class Stream:
    """Non-blocking writer: `write` may take fewer bytes than given, or raise OSError.

    `fileno()` is for code that writes to the descriptor itself, such as faulthandler.
    """

    def __init__(self, file: int) -> None:
        """Write to the descriptor `file`, which is not closed here."""
        self._given = file
        self._file = file
        self._sock: socket.socket | None = None
        self._is_asked_first = False
        kind = _kind_of(file)
        if kind == stat.S_IFSOCK:
            with contextlib.suppress(OSError):
                self._sock = socket.socket(fileno=os.dup(file))
        elif kind == stat.S_IFIFO or os.isatty(file):
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._file = os.open(f"/proc/self/fd/{file}", flags)
            except OSError:
                self._is_asked_first = True

    def fileno(self) -> int:
        return self._file

    def write(self, data: bytes) -> int:
        """Write what fits without waiting; OSError, such as EAGAIN, when nothing does."""
        if self._sock is not None:
            return self._sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if self._is_asked_first:
            return self._write_in_pieces(data)
        if os.isatty(self._file):
            return self._write_from_behind(data)
        return os.write(self._file, data)

    def _write_in_pieces(self, data: bytes) -> int:
        written = 0
        asked = select.poll()
        asked.register(self._file, select.POLLOUT)
        while written < len(data):
            ready = asked.poll(0)
            if not ready or not ready[0][1] & select.POLLOUT:
                break
            written += os.write(self._file, data[written : written + PIPE_BUF])
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return written

    def _write_from_behind(self, data: bytes) -> int:
        """Write to a terminal from a background process group, also under `stty tostop`."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        try:
            return os.write(self._file, data)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Close what was opened here."""
        if self._sock is not None:
            self._sock.close()
        if self._file != self._given:
            os.close(self._file)


def _kind_of(file: int) -> int:
    try:
        return stat.S_IFMT(os.fstat(file).st_mode)
    except OSError:  # closed
        return 0
