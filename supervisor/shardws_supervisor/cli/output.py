"""What the command line writes: to standard output, and its one line to standard error.

Owns both streams. Text that somebody else chose (a server, a client, a certificate) is escaped
here, so that no command can forget it: it must not play with the terminal. What cannot be written
is an OutputError; standard error may fail in silence, since there is nowhere left to say it.
"""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from shardws_supervisor.system import stdio


class OutputError(Exception):
    """Standard output is closed, full, or nobody reads it any more."""

    def __init__(self, error: OSError) -> None:
        self.is_reader_gone = isinstance(error, BrokenPipeError)
        super().__init__(f"standard output: {error.strerror}")


def lines(texts: Iterable[str]) -> None:
    """Write lines; OutputError."""
    raw("".join(f"{printable(text)}\n" for text in texts))


def as_json(value: Any) -> None:
    """Write JSON, in ASCII; OutputError."""
    raw(json.dumps(value, indent=2) + "\n")


def raw(text: str) -> None:
    """Write text that is ours to the last character; OutputError."""
    stream: TextIO | None = sys.stdout  # None: its descriptor was closed when Python started
    try:
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        stream.write(_encodable(text, stream))
        stream.flush()
    except OSError as error:
        _discard(stream)
        raise OutputError(error) from None


def complain(text: str) -> None:
    """Write one line to standard error, now or never: the server says its last word by it, too."""
    stdio.say(f"shardws: {printable(' '.join(text.split()))}")


def to_stderr(text: str) -> None:
    """Write text of ours to standard error."""
    stream: TextIO | None = sys.stderr
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        _discard(stream)


def printable(text: str) -> str:
    """Return text with everything escaped that could move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _discard(stream: TextIO | None) -> None:
    """Have what is left in the stream go nowhere: Python would complain of it at its end."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it has no descriptor
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
