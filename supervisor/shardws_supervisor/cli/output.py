"""What the command line writes: standard output, and one line on standard error.

Owns both streams. Text from elsewhere (a server, a client, a certificate) is escaped here, so that
no command can forget it and nothing can send control sequences to the terminal. A failed write is
an OutputError; a failure of standard error is ignored, since there is nowhere to report it.
"""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from shardws.log import escaped
from shardws_supervisor.system import stdio


class OutputError(Exception):
    """Standard output is closed, full, or no longer read."""

    def __init__(self, error: OSError) -> None:
        self.is_reader_gone = isinstance(error, BrokenPipeError)
        super().__init__(f"standard output: {error.strerror}")


def lines(texts: Iterable[str]) -> None:
    """Write lines; OutputError."""
    raw("".join(f"{escaped(text)}\n" for text in texts))


def as_json(value: Any) -> None:
    """Write JSON, in ASCII; OutputError."""
    raw(json.dumps(value, indent=2) + "\n")


def raw(text: str) -> None:
    """Write text that contains nothing from elsewhere, unescaped; OutputError."""
    stream: TextIO | None = sys.stdout  # None when its descriptor was closed at Python's start
    try:
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        stream.write(_encodable(text, stream))
        stream.flush()
    except OSError as error:
        _discard(stream)
        raise OutputError(error) from None


def complain(text: str) -> None:
    """Write one line to standard error without waiting; also the server's last line."""
    stdio.say(f"shardws: {escaped(' '.join(text.split()))}")


def to_stderr(text: str) -> None:
    """Write text to standard error, unescaped."""
    stream: TextIO | None = sys.stderr
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        _discard(stream)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _discard(stream: TextIO | None) -> None:
    """Discard what is left in the stream: Python would report it when it exits."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it has no descriptor
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
