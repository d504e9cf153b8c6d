"""Where log lines go: stderr or a file, as text or as JSON.

Owns the one handler on the loggers `shardws` and `asyncio`; knows not who logs. Every process of
the server writes to the same file, opened for appending, one write per line, so lines of two
processes do not mix. A file that was moved away (logrotate) is noticed at the next line, so USR1
has only to be obeyed by the supervisor. A full disk costs lines, never the server: it is told on
stderr when that begins, and in the file, with their number, when it is over.
"""

import contextlib
import errno
import json
import logging
import os
import time
from pathlib import Path
from typing import Final

from shardws.errors import StartError

# The setting LogLevel: 0 none (still warnings and errors), 1 info, 2 verbose, 3 debug.
LEVELS: Final = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}
STDERR: Final = 2  # sys.stderr may be None or somebody else's
ATTRIBUTES: Final = ("shard", "connection_id")  # of log.Adapter


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z info shardws.room shard=1 id=123: text`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03}Z"
        where = ""
        shard = getattr(record, "shard", None)
        if shard is not None:
            where += f" shard={shard}"
        connection_id = getattr(record, "connection_id", 0)
        if connection_id:
            where += f" id={connection_id}"
        text = f"{stamp} {record.levelname.lower()} {record.name}{where}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, pid, message, and the adapter's attributes."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        for name in ATTRIBUTES:
            value = getattr(record, name, None)
            if value:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class LineHandler(logging.Handler):
    """Writes one line per record; `path` None is stderr."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self.lost = 0
        self._is_torn = False  # the last line that was written is not whole
        self._file = self._open()

    def _open(self) -> int:
        if self.path is None:
            return STDERR
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o640)
        except OSError as error:
            raise StartError(
                f"log file {self.path} cannot be opened: {error.strerror}", code=302
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
        """Write a line behind whole ones; OSError when not all of it could be."""
        mend, self._is_torn = b"\n" if self._is_torn else b"", False
        written = os.write(self._file, mend + line)
        if written < len(mend + line):  # the disk is full
            self._is_torn = written > 0 or bool(mend)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _lose(self, error: OSError) -> None:
        """Count a line that could not be written; the first one is told where that still can be."""
        if not self.lost and self.path is not None:
            text = f"shardws: log file {self.path} cannot be written: {error.strerror}\n"
            with contextlib.suppress(OSError):
                os.write(STDERR, text.encode())
        self.lost += 1

    def _follow(self) -> None:
        """Open the file anew when the path no longer leads to it."""
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
            name, text = "shardws.logs", "%d log lines were lost"
            attributes = {**cause.__dict__, "name": name, "msg": text, "args": (self.lost,)}
            attributes |= {"levelno": logging.WARNING, "levelname": "WARNING", "exc_info": None}
            told = logging.makeLogRecord(attributes)
            self._write((self.format(told) + "\n").encode("utf-8", "backslashreplace"))
            self.lost = 0

    def reopen(self) -> None:
        """Open the file anew; the old one stays when that fails."""
        if self.path is None:
            return
        try:
            new = self._open()
        except StartError as error:
            with contextlib.suppress(OSError):
                os.write(STDERR, f"shardws: {error.description}\n".encode())
            return
        os.close(self._file)
        self._file = new

    def fileno(self) -> int:
        return self._file


def descriptor() -> int:
    """Return where lines go now: for what writes without the logging module."""
    for handler in logging.getLogger("shardws").handlers:
        if isinstance(handler, LineHandler):
            return handler.fileno()
    return STDERR


def configure(level: int, style: str, path: str) -> LineHandler:
    """Send all records of `shardws` and above LogLevel to stderr ("") or a file; StartError 302."""
    handler = LineHandler(Path(path).absolute() if path else None)
    handler.setFormatter(JSONFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger("shardws")
    _replace(root, list(root.handlers), handler)
    loop = logging.getLogger("asyncio")  # what went wrong in callbacks and in tasks of nobody
    _replace(loop, [one for one in loop.handlers if isinstance(one, LineHandler)], handler)
    root.setLevel(LEVELS[level])
    root.propagate = False
    return handler


def _replace(logger: logging.Logger, old: list[logging.Handler], new: logging.Handler) -> None:
    for handler in old:
        logger.removeHandler(handler)
    logger.addHandler(new)
