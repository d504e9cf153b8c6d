"""Where log lines go: stderr or a file.

Owns the one handler on the loggers `shardws` and `asyncio`. Every process of the server writes to
the same file, opened for appending, one write per line, so lines of two processes do not mix. A
renamed file (logrotate) is noticed at the next line, so only the supervisor has to handle USR1. A
full disk, and a pipe that nobody reads, cost log lines but never stop the server: each process logs
how many were lost once it can write again, and `status` shows the total. The start of a server that
logs to a file is also reported on stderr.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shardws.errors import StartError
from shardws_supervisor.system.kept import Descriptor
from shardws_supervisor.system.log_formats import BLOCK, JSONFormatter, TextFormatter
from shardws_supervisor.system.log_stream import Stream

# The setting LogLevel: 0 none (still warnings and errors), 1 info, 2 verbose, 3 debug.
LEVELS: Final = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}
STDERR: Final = 2  # sys.stderr may be None or replaced
OURS: Final = "shardws"
LOOP: Final = "asyncio"  # exceptions in callbacks and in tasks that nobody awaits


@dataclass(frozen=True, slots=True)
class KeptLosses:
    """How many lines were lost, kept over an exec; the log itself is opened again."""

    counter: Descriptor  # the eventfd that all processes write
    counted: int  # what was read from it so far


class LineHandler(logging.Handler):
    """Writes one line per record; `path` None is stderr."""

    def __init__(self, path: Path | None, kept: KeptLosses | None = None) -> None:
        super().__init__()
        self.path = path
        self.lost = 0  # lost lines of this process that were not reported yet
        self._is_torn = False  # the last line was written only in part
        self._stream = Stream(STDERR)  # also when the file cannot be written
        self._file = STDERR if path is None else self._open(path)
        # An eventfd: the kernel adds up what all processes write, without a lock.
        self._counter = kept.counter if kept else os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._counted = kept.counted if kept else 0

    @staticmethod
    def _open(path: Path) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o640)
        except OSError as error:
            raise StartError(
                f"log file {path} cannot be opened: {error.strerror}", code=302
            ) from None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        except Exception:  # noqa: BLE001 - a record with wrong arguments must not end its caller
            line = f"unprintable log record: {record.msg!r}\n".encode("utf-8", "backslashreplace")
        try:
            self._follow()
            self._tell_losses(record)
            self._write(line)
        except OSError as error:
            self._lose(error)

    def _write(self, line: bytes) -> None:
        """Write a line, first ending one written in part; OSError when it was not written whole."""
        mend, self._is_torn = b"\n" if self._is_torn else b"", False
        data = mend + line
        written = self._stream.write(data) if self.path is None else os.write(self._file, data)
        if written < len(data):  # the disk or the pipe is full
            self._is_torn = written > 0 or bool(mend)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _lose(self, error: OSError) -> None:
        """Count a line that could not be written; report the first one on stderr."""
        if not self.lost and self.path is not None:
            text = f"shardws: log file {self.path} cannot be written: {error.strerror}\n"
            self._tell_stderr(text)
        self.lost += 1
        with contextlib.suppress(BlockingIOError):  # 2^64 - 1 lines
            os.eventfd_write(self._counter, 1)

    def _tell_stderr(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text.encode("utf-8", "backslashreplace"))

    def _follow(self) -> None:
        """Reopen the file when the path no longer leads to it."""
        if self.path is None:
            return
        try:
            is_same = os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except FileNotFoundError:
            is_same = False
        if not is_same:
            self.reopen()

    def _tell_losses(self, cause: logging.LogRecord) -> None:
        if self.lost:
            self._tell(cause, "%d log lines were lost", self.lost)
            self.lost = 0

    def _tell(self, cause: logging.LogRecord, text: str, count: int) -> None:
        attributes = {**cause.__dict__, "name": "shardws.logs", "msg": text, "args": (count,)}
        attributes |= {"levelno": logging.WARNING, "levelname": "WARNING", "exc_info": None}
        attributes[BLOCK] = ""
        told = logging.makeLogRecord(attributes)
        self._write((self.format(told) + "\n").encode("utf-8", "backslashreplace"))

    def reopen(self) -> None:
        """Reopen the file; the old one stays when that fails."""
        if self.path is None:
            return
        try:
            new = self._open(self.path)
        except StartError as error:
            self._tell_stderr(f"shardws: {error.description}\n")
            return
        os.close(self._file)
        self._file = new

    def fileno(self) -> int:
        """Return the current descriptor, for code that writes without the logging module."""
        return self._stream.fileno() if self.path is None else self._file

    def count_lost(self) -> int:
        """Return how many lines all processes lost so far; for the supervisor only."""
        with contextlib.suppress(BlockingIOError):
            self._counted += os.eventfd_read(self._counter)
        return self._counted

    def keep(self) -> KeptLosses:
        """Return what the handler after an exec needs."""
        return KeptLosses(Descriptor(self._counter), self.count_lost())

    def give_back(self) -> None:
        """Close the descriptors. Not named `close`: logging.config calls that on all handlers."""
        self._stream.close()
        os.close(self._counter)
        if self.path is not None:
            os.close(self._file)


def descriptor() -> int:
    """Return the current descriptor, for code that writes without the logging module."""
    for handler in logging.getLogger(OURS).handlers:
        if isinstance(handler, LineHandler):
            return handler.fileno()
    return STDERR


def configure(level: int, style: str, path: str, kept: KeptLosses | None = None) -> LineHandler:
    """Send all records of `shardws` and above LogLevel to stderr ("") or a file; StartError 302."""
    handler = LineHandler(Path(path).absolute() if path else None, kept)
    handler.setFormatter(JSONFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger(OURS)
    old = [one for one in root.handlers if isinstance(one, LineHandler)]
    _replace(root, list(root.handlers), handler)
    loop = logging.getLogger(LOOP)
    _replace(loop, [one for one in loop.handlers if isinstance(one, LineHandler)], handler)
    for one in old:
        one.give_back()
    root.setLevel(LEVELS[level])
    root.propagate = False
    return handler


def _replace(logger: logging.Logger, old: list[logging.Handler], new: logging.Handler) -> None:
    for handler in old:
        logger.removeHandler(handler)
    logger.addHandler(new)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep our logging configured during the import of an application.

    By default logging.config disables every logger that it does not name and removes the handlers
    of those it names. Handlers that the application adds to ours stay.
    """
    loggers = [logging.getLogger(name) for name in (OURS, LOOP)]
    before = [(one, list(one.handlers), one.level) for one in loggers]
    try:
        yield
    finally:
        for logger, handlers, level in before:
            for handler in handlers:
                if isinstance(handler, LineHandler):
                    logger.addHandler(handler)
            logger.setLevel(level)
        for name, found in logging.root.manager.loggerDict.items():
            if isinstance(found, logging.Logger) and name.partition(".")[0] in (OURS, LOOP):
                found.disabled = False
