"""The process that connections come to: it listens, and takes what is offered to it.

Owns the socket in the run directory, the check of who gives, and the order in which a connection
becomes this process's. Facts to have before reading:

- A batch is claimed (wire.takeover) when it is whole. Its connections are entered, the verdicts are
  written, and only then the first of them is served: a process that dies before has done nothing
  that its giver could do again.
- When the giver is gone its last batch is taken all the same, if it is whole and was not taken
  back. What is not whole is dropped.
- All of that runs in one callback of the loop; a batch is bounded (wire.takeover.MOST_RECORDS).
"""

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from shardws.errors import RecordError, StateError, WireError
from shardws.log import Adapter
from shardws.net.connection import Connection, moving
from shardws.net.connection.owner import Owner
from shardws.net.connection.resumed import Cause, Resumed
from shardws.protocol.deflate import Profile
from shardws.routing import unix
from shardws.routing.identity import Identity, admitted, describe
from shardws.takeover.path import takeover_path
from shardws.takeover.routes import Arrivals
from shardws.takeover.serving import Serving
from shardws.wire import messages, record, takeover
from shardws.wire.record import Record
from shardws.wire.takeover import Greeting, Verdict

GREETING_S: Final = 5.0
READ_BYTES: Final = 256 * 1024
READS: Final = 16  # of one channel in a turn of the loop
MOST_DESCRIPTORS: Final = takeover.MOST_RECORDS + 1
MOST_BATCH_BYTES: Final = record.LARGEST + (8 << 20)
_SPACE: Final = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)


class TakingShard(Owner[Connection], Protocol):
    """The shard, as this module sees it."""

    @property
    def log(self) -> Adapter: ...
    @property
    def profile(self) -> Profile: ...
    def arrived(self, connection: Connection) -> bool:
        """Count a connection in that has come; False when there is no room for it."""

    def withdrawn(self, connection: Connection) -> None:
        """It goes back to its giver, as if it had not come."""

    def resumed(self, connection: Connection) -> None:
        """Tell the application; the connection has its socket, and nothing of it was told yet."""


class Taking:
    """Takes connections for one shard from `start` to `close`."""

    def __init__(
        self, shard: TakingShard, identity: Identity, run_directory: str, arrivals: Arrivals
    ) -> None:
        self.shard = shard
        self.identity = identity
        self.arrivals = arrivals
        self.serving = Serving(shard)
        self._path = takeover_path(run_directory, identity.row)
        self._run_directory = run_directory
        self._sock: socket.socket | None = None
        self._channels: set[TakingChannel] = set()

    def start(self) -> None:
        """Listen; OSError, StartError."""
        unix.check_directory(self._run_directory)
        unix.remove(self._path)
        self._sock = unix.listen(self._path)
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Take no more; what was not answered stays its giver's."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None
            unix.remove(self._path)
        for channel in list(self._channels):
            channel.close()

    def look(self) -> None:
        """Take what has come by now: before it is judged which connections a dead process lost."""
        self._accept()
        for channel in list(self._channels):
            channel.read(READS * READS)

    def _accept(self) -> None:
        while self._sock is not None:
            try:
                sock, _ = self._sock.accept()
            except OSError:  # none is there; or no descriptor is left: its giver tries again
                return
            sock.setblocking(False)
            self._channels.add(TakingChannel(self, sock, self._channels.discard))


class TakingChannel:
    """One process that gives."""

    def __init__(
        self, taking: Taking, sock: socket.socket, closed: Callable[["TakingChannel"], None]
    ) -> None:
        self._taking = taking
        self._sock = sock
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._decoder = takeover.Decoder(takeover.GREETING, takeover.BATCH, takeover.RECORD)
        self._descriptors: list[int] = []  # that came and are nobody's yet
        self._home = -1  # incarnation of the giver, once it has greeted
        self._greeting: Greeting | None = None
        self._claim = -1
        self._count = 0  # records of the batch that is coming
        self._records: list[bytes] = []
        self._taken = 0
        self._loop.add_reader(sock, self.read)
        self._deadline = self._loop.call_later(GREETING_S, self._give_up)

    def _give_up(self) -> None:
        self._taking.shard.log.error("a process that connected for a takeover did not greet")
        self.close()

    def read(self, most: int = READS) -> None:
        """Take what has come."""
        try:
            for _ in range(most):
                if self._sock.fileno() < 0 or not self._read_once():
                    break
        except BlockingIOError:
            pass
        except (OSError, WireError) as error:
            self._taking.shard.log.error("a takeover was broken off: %s", error)
            self.close()

    def _read_once(self) -> bool:
        """Read a part; False when the giver has gone."""
        flags = socket.MSG_CMSG_CLOEXEC
        data, ancillary, _, _ = self._sock.recvmsg(READ_BYTES, _SPACE, flags)
        for _, _, packed in ancillary:
            numbers = array.array("i")
            numbers.frombytes(packed[: len(packed) - len(packed) % numbers.itemsize])
            self._descriptors += numbers
        if not data:
            self.close()
            return False
        for kind, body in self._decoder.feed(data):
            self._handle(kind, body)
        return True

    def _handle(self, kind: int, body: bytes) -> None:
        if kind == takeover.GREETING:
            self._greet(body)
        elif self._greeting is None:
            raise WireError("a takeover begins with a greeting")
        elif kind == takeover.BATCH:
            if self._count:
                raise WireError("a batch within a batch")
            self._count = takeover.read_count(body)
        else:
            self._add(self._greeting, body)

    def _greet(self, body: bytes) -> None:
        if self._greeting is not None or len(self._descriptors) != 1:
            raise WireError("a greeting comes once, with one descriptor")
        greeting = takeover.read_greeting(body)
        who = (messages.VERSION, *greeting[:4], greeting.boot_nonce)
        home = admitted(self._taking.identity, (0, *who), *unix.credentials(self._sock))
        if greeting.cause not in list(Cause):
            raise WireError(f"no cause of a takeover: {greeting.cause!r}")
        self._home, self._greeting = home, greeting
        self._claim = self._descriptors.pop()
        self._deadline.cancel()

    def _add(self, greeting: Greeting, body: bytes) -> None:
        size = sum(map(len, self._records)) + len(body)
        if len(self._records) >= self._count or size > MOST_BATCH_BYTES:
            raise WireError("more records than a batch has")
        self._records.append(body)
        if len(self._records) == self._count:
            batch, self._records, self._count = self._records, [], 0
            descriptors, self._descriptors = self._descriptors, []
            if self._take_claim():
                self._take(greeting, batch, descriptors)
            else:
                close_all(descriptors)  # the giver did not wait any longer

    def _take_claim(self) -> bool:
        try:
            os.eventfd_read(self._claim)
        except BlockingIOError:
            return False
        return True

    def _take(self, greeting: Greeting, batch: list[bytes], descriptors: list[int]) -> None:
        """Enter the connections of a batch, answer, and serve them."""
        close_all(descriptors[len(batch) :])
        made = [self._enter(greeting, data) for data in batch[: len(descriptors)]]
        made += [Verdict.DESCRIPTOR] * (len(batch) - len(descriptors))
        verdicts = [one if isinstance(one, Verdict) else Verdict.TAKEN for one in made]
        is_answered = self._answer(verdicts)
        for one, fd in zip(made, descriptors, strict=False):
            if isinstance(one, Verdict):
                os.close(fd)
            elif is_answered:
                self._taken += 1
                self._taking.serving.serve(*one, fd)
            else:
                os.close(fd)
                self._taking.shard.withdrawn(one[0])

    def _enter(self, greeting: Greeting, data: bytes) -> tuple[Connection, Record] | Verdict:
        """Enter one connection that has no socket yet."""
        shard = self._taking.shard
        try:
            found = record.decode(data)
            cause = Cause(greeting.cause)
            origin = Resumed(cause, greeting.slot, greeting.generation, found.moves + 1)
            connection = moving.adopt(shard, found, origin, shard.profile)
        except RecordError as error:
            shard.log.warning("a connection stays where it is: %s", error)
            return Verdict.UNREADABLE
        try:
            self._taking.arrivals.enter(connection, self._home)
        except (StateError, ValueError) as error:
            shard.log.warning("connection %d stays where it is: %s", found.id, error)
            return Verdict.REFUSED
        if not shard.arrived(connection):
            shard.withdrawn(connection)
            return Verdict.FULL
        return connection, found

    def _answer(self, verdicts: list[Verdict]) -> bool:
        """Write the verdicts; False when the giver lives and cannot have them."""
        try:
            self._sock.send(takeover.answer(verdicts))
        except BlockingIOError:
            self._taking.shard.log.error("the giver of connections does not read the answer")
            self.close()
            return False
        except OSError:
            return True  # it is dead: it cannot have taken them back, since they were claimed
        return True

    def close(self) -> None:
        """End the channel: the giver takes back what was not claimed."""
        if self._sock.fileno() < 0:
            return
        self._deadline.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        close_all(self._descriptors)
        if self._claim >= 0:
            os.close(self._claim)
        self._descriptors = []
        self._closed(self)
        if self._greeting is not None:
            text = "took over %d connections of %s (%s)"
            who = describe(self._home), self._greeting.cause
            self._taking.shard.log.info(text, self._taken, *who)


def close_all(descriptors: list[int]) -> None:
    """Close descriptors, without shutdown(2)."""
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.close(fd)
