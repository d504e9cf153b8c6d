"""Whether a shard has descriptors for one more client.

Owns their count and the two log lines; `admission` refuses the clients.
Facts to have before reading:

- The limit (RLIMIT_NOFILE) is one of each process. A shard can run out long before the server
  reaches MaxConnections: the kernel spreads connections unevenly, and the application opens files
  too.
- uvloop does not report when accept fails because descriptors ran out: it closes the waiting
  connections. So a shard stops accepting clients earlier, and SPARE descriptors stay for links to
  other shards, for sockets accepted in the same turn of the loop, and for clients that wait for
  their 503.
- Linux reports how many are open since 6.2 (the size of /proc/self/fd). Before that, OWN is the
  estimate for all that are not clients.
- Sockets accepted in this turn are open but not clients yet: a single count may include them. The
  lowest of the last LOOKS counts is used.
"""

import os
import resource
from collections import deque
from collections.abc import Callable
from typing import Final

from shardws.log import Adapter

OWN: Final = 64  # a shard's own: stdio, loop, listener, channel, log, what the application opens
SPARE: Final = 32
RESPONDING: Final = SPARE // 2  # of these, for refused clients that wait for the response
LOOKS: Final = 8  # one at each tick: 2 seconds
UNLIMITED: Final = 1 << 20


def limit_now() -> int:
    """Return how many descriptors this process may have."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def open_now() -> int:
    """Return how many descriptors this process has; 0 when the kernel does not say."""
    try:
        return os.stat("/proc/self/fd").st_size
    except OSError:
        return 0


class Descriptors:
    """Those of one shard; `clients` are sockets of clients, whether they are served or refused."""

    def __init__(
        self, log: Adapter, limit: int, most: int, count: Callable[[], int] = open_now
    ) -> None:
        """`most` clients are taken at most, however many descriptors there are."""
        self.room = 0  # how many more clients fit
        self._log = log
        self._limit = limit
        self._most = most
        self._count = count
        self._looks: deque[int] = deque(maxlen=LOOKS)
        self._refused = 0  # since it became short; 0: it is not
        self._take_in(OWN - SPARE)

    def look(self, clients: int) -> None:
        """Count again what is open besides `clients`; log when there is room again."""
        opened = self._count()
        if opened:
            self._looks.append(max(0, opened - clients))
            self._take_in(min(self._looks))
        if self._refused and self.room and clients <= self.room - min(SPARE, self.room // 8):
            self._log.info("descriptors are free again; %d clients were refused", self._refused)
            self._refused = 0

    def refuse(self, clients: int) -> None:
        """Note that a client is refused because there is no room."""
        if not self._refused:
            self._log.warning(
                "out of descriptors: RLIMIT_NOFILE %d leaves room for %d clients here;"
                " %d are connected, more are refused (raise it: ulimit -n, LimitNOFILE=)",
                self._limit,
                self.room,
                clients,
            )
        self._refused += 1

    def allow_response(self, clients: int) -> bool:
        """Tell whether a refused client may wait for its response; else it must go at once."""
        return clients <= self._enough

    def _take_in(self, others: int) -> None:
        free = self._limit - others
        self._enough = free - SPARE + RESPONDING
        self.room = max(0, min(self._most, free - SPARE))
