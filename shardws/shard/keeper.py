"""The keeper: when this process dies, its clients are told to come back instead of being cut.

Owns the start of the keeper, a process that shares this one's descriptors (`_keeper.c`). It sleeps
until this process has ended. Of an end in order it finds no client left, and goes. After kill -9, a
crash or an OOM kill it writes a close frame to every plain client whose outgoing stream stands at a
frame boundary, ends their TCP connections in order, and goes within a second; the others, and those
under TLS, get the end of TCP alone.

It is the supervisor's child, dies with it, and costs the pages that this process changes after the
start, so it is started before the application is imported. Without a compiler, or where clone is
refused (seccomp), there is none: then clients of a shard that dies read the end of TCP.
"""

import os
from importlib import import_module
from typing import Any, Final

from shardws.census import Page
from shardws.close_reasons import SHARD_CRASHED
from shardws.log import Adapter
from shardws.protocol.frames import CLOSE, header

CONTRACT: Final = 1  # as _keeper.c


def start(page: Page | None, log: Adapter) -> int:
    """Start the keeper of this process; return its pid, 0 when there is none."""
    if page is None:
        return 0
    pidfd = -1
    try:
        module: Any = import_module("shardws.shard._keeper")
        if module.CONTRACT != CONTRACT:
            raise ImportError("it was built of other source")
        pidfd = os.pidfd_open(os.getpid())
        pid: int = module.start(page.sockets, pidfd, goodbye())
    except ImportError as error:
        log.debug("there is no keeper: %s", error)
    except OSError as error:
        log.info("a crash of this shard will cut its clients: no keeper (%s)", error.strerror)
        if pidfd >= 0:
            os.close(pidfd)
    else:
        return pid
    return 0


def goodbye() -> bytes:
    """Return the close frame for clients of a shard that has died (RFC 6455 5.5.1)."""
    body = SHARD_CRASHED.code.to_bytes(2, "big") + SHARD_CRASHED.text.encode()
    return header(0x80 | CLOSE, len(body)) + body
