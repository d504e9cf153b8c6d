"""The acceptor: with AcceptMode handoff it alone accepts, and passes each socket to a shard.

Owns the choice of the shard (`Balance`) and the handoff (`Acceptor`); it reads and writes nothing
on the sockets it accepts. The kernel spreads connections by chance; here the shard with the fewest
gets the next one, counted from shared memory plus what is in flight to it. It is a process of its
own, so that a burst of connects cannot keep the supervisor busy. The supervisor keeps the listening
socket and the other ends open, so a killed acceptor costs the one connection it held and a pause,
during which connects wait in the backlog.
"""

import errno
import selectors
import signal
import socket
import struct
import time
from typing import Final

from shardws import stats
from shardws.errors import EXIT_CANNOT_START, EXIT_OK
from shardws.log import logger

ORDER: Final = struct.Struct("<BH")  # what, row; ADD carries the descriptor to hand sockets over
ADD: Final = 1
DROP: Final = 2
AT_ONCE: Final = 64  # accepts between two checks for orders
PAUSE: Final = 0.05  # seconds without accepting: no descriptors, or every shard's queue is full
LAST: Final = 1.0  # seconds to pass on a connection at the end; then it would be killed
CARGO: Final = b"c"  # a message has to carry a byte

log = logger("supervisor.acceptor")


class ListenError(Exception):
    """The port cannot be listened on."""


class Balance:
    """Which shard gets the next connection."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory
        self._handed: dict[int, int] = {}  # connections handed to each row since it was added
        self._accepted_before: dict[int, int] = {}

    def add(self, row: int) -> None:
        """Add a row."""
        self._handed[row] = 0
        self._accepted_before[row] = self._memory.row(row)[stats.ACCEPTED]

    def drop(self, row: int) -> None:
        """Remove a row; one that is not there is ignored."""
        self._handed.pop(row, None)

    def note(self, row: int) -> None:
        """Count a connection that was handed to the row."""
        self._handed[row] += 1

    def load(self, row: int) -> int:
        """Return the row's connections, those still in its queue included."""
        words = self._memory.row(row)
        taken = words[stats.ACCEPTED] - self._accepted_before[row]
        return int(words[stats.CONNECTIONS]) + max(0, self._handed[row] - taken)

    def order(self) -> list[int]:
        """Return the rows, the one with the fewest connections first."""
        return sorted(self._handed, key=lambda row: (self.load(row), self._handed[row], row))


class Acceptor:
    """The child's loop."""

    def __init__(
        self, listener: socket.socket, backlog: int, orders: socket.socket, memory: stats.Stats
    ) -> None:
        self._listener = listener
        self._backlog = backlog
        self._orders = orders
        self._balance = Balance(memory)
        self._shards: dict[int, socket.socket] = {}  # by row
        self._held: socket.socket | None = None  # accepted, but not yet taken by a shard
        self._pause_until = 0.0
        self._is_told = False
        self._selector = selectors.DefaultSelector()
        self._is_accepting = False

    def run(self) -> None:
        """Accept until the supervisor has closed `orders`, at its end or for a successor."""
        self._listener.setblocking(False)
        self._selector.register(self._orders, selectors.EVENT_READ)
        while True:
            self._arrange()
            waiting = self._pause_until - time.monotonic()
            ready = {key.fileobj for key, _ in self._selector.select(max(0.0, waiting) or None)}
            if self._orders in ready and not self._obey():
                self._hand_last()
                return
            if self._listener in ready:
                self._accept()

    def _arrange(self) -> None:
        """Watch the listener only while a shard can take a connection."""
        now = time.monotonic()
        if now >= self._pause_until:
            self._pause_until = 0.0
            if self._held is not None:
                self._hand(self._held)
        wanted = bool(self._shards) and self._held is None and not self._pause_until
        if wanted and not self._is_accepting:
            self._listen()
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._is_accepting and not wanted:
            self._selector.unregister(self._listener)
        self._is_accepting = wanted

    def _listen(self) -> None:
        try:
            self._listener.listen(self._backlog)
        except OSError as error:  # another program has listened on the port since it was bound
            raise ListenError(f"cannot listen: {error.strerror}") from None

    def _obey(self) -> bool:
        """Carry out one order; False when the supervisor is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._orders, ORDER.size, 1)
        if not data:
            return False
        what, row = ORDER.unpack(data)
        if what == ADD:
            self._forget(row)
            self._shards[row] = socket.socket(fileno=descriptors[0])
            self._shards[row].setblocking(False)
            self._balance.add(row)
        else:
            self._forget(row)
        return True

    def _forget(self, row: int) -> None:
        sock = self._shards.pop(row, None)
        if sock is not None:
            sock.close()
            self._balance.drop(row)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause(f"cannot accept: {error.strerror}")
                    return
                continue  # the connection was reset already (accept(2): treat like EAGAIN)
            self._hand(client)
            if self._held is not None:
                return

    def _hand(self, client: socket.socket) -> None:
        """Pass a connection to the first shard that takes it; otherwise hold it and pause."""
        for row in self._balance.order():
            try:
                socket.send_fds(self._shards[row], [CARGO], [client.fileno()])
            except BlockingIOError:
                continue
            except OSError:
                self._forget(row)  # the shard has died; the supervisor notices it too
                continue
            self._balance.note(row)
            self._held = None
            self._is_told = False
            client.close()
            return
        self._held = client
        self._pause("no shard takes connections now")

    def _hand_last(self) -> None:
        """Pass on the connection that is held; its shards may have no room for LAST seconds."""
        end = time.monotonic() + LAST
        while self._held is not None and self._shards and time.monotonic() < end:
            self._hand(self._held)
            if self._held is not None:
                time.sleep(PAUSE)

    def _pause(self, reason: str) -> None:
        self._pause_until = time.monotonic() + PAUSE
        if not self._is_told:
            self._is_told = True
            log.warning("%s", reason)


def run(listener: socket.socket, backlog: int, orders: socket.socket, memory: stats.Stats) -> int:
    """Run the acceptor until the supervisor closes `orders`."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to the group; the supervisor ends us
    try:
        Acceptor(listener, backlog, orders, memory).run()
    except ListenError as error:
        log.error("%s", error)
        return EXIT_CANNOT_START
    return EXIT_OK
