"""The supervisor's end of the socket pair to one shard, with messages of `shardws.wire`.

Owns the descriptor, the decoder and the bytes a slow shard has not read yet. Both directions are
bounded: a message above `LONGEST_MESSAGE` or a shard that leaves more than `LONGEST_QUEUE` bytes
unread breaks the channel, and the owner ends that shard.
"""

import contextlib
import socket
from dataclasses import dataclass
from typing import Any, Final, Self

from shardws.errors import WireError
from shardws.net import sockets
from shardws.wire import codec, messages
from shardws_supervisor.system.kept import Descriptor

LONGEST_MESSAGE: Final = 1 << 20  # a list of 500 connections takes about 150 KiB
LONGEST_QUEUE: Final = 1 << 20  # about a hundred PEERS messages of the largest server
PIECE: Final = 64 << 10


class ChannelError(Exception):
    """The channel is broken: it carried invalid data, or the shard does not read."""


@dataclass(frozen=True, slots=True)
class KeptChannel:
    """A channel, kept over an exec."""

    sock: Descriptor
    incomplete: bytes  # received: the beginning of a message
    unsent: bytes
    is_closed: bool


class Channel:
    """A non-blocking message stream to one shard."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._decoder = codec.Decoder(LONGEST_MESSAGE, messages.SHARD)
        self._queue = bytearray()
        self.is_closed = False

    def keep(self) -> KeptChannel:
        """Return what `adopt` needs."""
        buffers = self._decoder.incomplete, bytes(self._queue)
        return KeptChannel(Descriptor(self._sock.fileno()), *buffers, self.is_closed)

    @classmethod
    def adopt(cls, kept: KeptChannel) -> Self:
        """Return a channel that this process had before an exec; ChannelError."""
        adopted = cls(sockets.adopted(kept.sock))
        adopted.is_closed = kept.is_closed
        adopted._queue += kept.unsent
        try:
            adopted._decoder.feed(kept.incomplete)
        except WireError as error:
            raise ChannelError(f"invalid message on its channel: {error.description}") from None
        return adopted

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def has_unsent(self) -> bool:
        return bool(self._queue)

    def receive(self) -> list[tuple[Any, ...]]:
        """Return the messages that arrived; `is_closed` becomes true at the end of the stream.

        ChannelError for bytes that are not valid messages.
        """
        try:
            data = self._sock.recv(PIECE)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        if not data:
            self.is_closed = True
            return []
        try:
            return self._decoder.feed(data)
        except WireError as error:
            raise ChannelError(f"invalid message on its channel: {error.description}") from None

    def send(self, kind: int, *fields: Any) -> None:
        """Send, or queue what the socket does not take; ChannelError when the queue is too long."""
        self._queue += codec.encode(kind, *fields)
        self.flush()
        if len(self._queue) > LONGEST_QUEUE:
            raise ChannelError(f"it left {len(self._queue)} bytes of its channel unread")

    def flush(self) -> None:
        """Write queued bytes as far as the socket takes them; `receive` notices a closed peer."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self._queue:
                sent = self._sock.send(self._queue)
                del self._queue[:sent]

    def close(self) -> None:
        """Close the descriptor, which tells the shard that its supervisor is gone."""
        self.is_closed = True
        self._sock.close()


def pair() -> tuple[Channel, socket.socket]:
    """Return the supervisor's end and the shard's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    return Channel(ours), theirs
