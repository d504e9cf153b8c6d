"""Standard descriptors: all three are open, and the last line on stderr never blocks.

A program may be started without them (`2>&-`, some service managers): the first sockets would get
their numbers, and a log line would go to a client.
"""

import contextlib
import os
import sys
from typing import Final, TextIO

from shardws_supervisor.system.log_stream import Stream

STDERR: Final = 2


def complete() -> None:
    """Open /dev/null for closed standard descriptors; call it before anything is opened."""
    for file in (0, 1, 2):
        try:
            os.fstat(file)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != file:
                os.dup2(null, file)
                os.close(null)
            os.set_inheritable(file, True)  # as the others are
    # They stay open as long as the process, so no context manager closes them.
    sys.stdin = sys.stdin or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115


def say(line: str) -> None:
    """Write a line to stderr without waiting: its reader may have stopped reading."""
    given: TextIO | None = sys.stderr
    if given is None:  # its descriptor was closed when Python started
        return
    try:
        is_real = given.fileno() == STDERR
    except (OSError, ValueError):  # captured, without a descriptor
        is_real = False
    with contextlib.suppress(OSError):
        if not is_real:
            given.write(line + "\n")
            return
        stream = Stream(STDERR)
        try:
            stream.write(f"{line}\n".encode("utf-8", "backslashreplace"))
        finally:
            stream.close()
