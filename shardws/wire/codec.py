"""Messages to bytes and back.

Owns the frame layout and its bounds. Sans-IO.

    length u32 of what follows the kind | kind u8 | fixed fields and text lengths | texts | rest

little-endian, unaligned. All messages use the table; DELIVER, the one that is sent per message of a
client, is coded by hand as well, in routing.links. Peers are not trusted: what no peer of this
version would send raises WireError, and the reader closes the link. Messages before the bad frame
in the same `feed` are lost with it, like everything on a link that breaks.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from shardws.errors import WireError
from shardws.wire.messages import (
    ALLOWED,
    BY_NUMBER,
    FIXED,
    HELLO,
    REST,
    TEXT,
    VERSION,
    Message,
    Peer,
)

HEADER: Final = struct.Struct("<IB")
DELIVER_HEAD: Final = struct.Struct("<IBQB")
DELIVER_FIXED: Final = DELIVER_HEAD.size - HEADER.size  # what `length` counts besides the payload
PEER: Final = struct.Struct("<HHIH")  # the last: how many incarnations (u32) follow
MAX_LENGTH: Final = 0xFFFFFFFF

pack_deliver: Final = DELIVER_HEAD.pack  # (len(payload) + DELIVER_FIXED, DELIVER, id, format)


def _pack_peers(peers: list[Peer]) -> bytes:
    parts = []
    for row, generation, pid, served in [Peer(*peer) for peer in peers]:
        parts.append(PEER.pack(row, generation, pid, len(served)))
        parts.append(struct.pack(f"<{len(served)}I", *served))
    return b"".join(parts)


def _unpack_peers(data: bytes) -> list[Peer]:
    peers = []
    position = 0
    try:
        while position < len(data):
            row, generation, pid, count = PEER.unpack_from(data, position)
            position += PEER.size
            served = struct.unpack_from(f"<{count}I", data, position)
            position += 4 * count
            peers.append(Peer(row, generation, pid, served))
    except struct.error:
        raise WireError("PEERS does not hold whole rows") from None
    return peers


def _check_version(body: bytes) -> None:
    """Refuse another version by its number, before its other fields are interpreted."""
    version = int.from_bytes(body[:2], "little")
    if version != VERSION:
        raise WireError(f"the peer speaks wire version {version}, this is version {VERSION}")


class Layout:
    """The coding of one row of the table."""

    def __init__(self, message: Message) -> None:
        kinds = [kind for _, kind in message.fields]
        fixed = [kind for kind in kinds if kind in FIXED]
        self.message = message
        self.texts = kinds.count(TEXT)
        self.rest = kinds[-1] if kinds and kinds[-1] in REST else ""
        order = fixed + [TEXT] * self.texts + [self.rest] * bool(self.rest)
        if kinds != order:
            raise ValueError(f"{message.name}: numbers first, then texts, then the rest")
        self.fixed = len(fixed)
        self.struct = struct.Struct("<" + "".join(FIXED[kind] for kind in fixed) + "I" * self.texts)
        self.checks = [(at, ALLOWED[kind]) for at, kind in enumerate(fixed) if kind in ALLOWED]
        self.flags = [at for at, kind in enumerate(fixed) if kind == "flag"]

    def encode(self, fields: tuple[Any, ...]) -> bytes:
        """Return one frame; ValueError when the fields are not the row's."""
        name = self.message.name
        if len(fields) != len(self.message.fields):
            raise ValueError(f"{name} has {len(self.message.fields)} fields, not {len(fields)}")
        for at, allowed in self.checks:
            if fields[at] not in allowed:
                raise ValueError(f"{name}: {fields[at]!r} is no {self.message.fields[at][0]}")
        try:
            parts = [text.encode() for text in fields[self.fixed : self.fixed + self.texts]]
            head = self.struct.pack(*fields[: self.fixed], *map(len, parts))
            if self.rest:
                parts.append(_pack_peers(fields[-1]) if self.rest == "peers" else fields[-1])
            body = b"".join([head, *parts])
            return HEADER.pack(len(body), self.message.number) + body
        except (struct.error, TypeError, AttributeError, UnicodeEncodeError) as error:
            raise ValueError(f"{name}: {error}") from error

    def decode(self, data: bytes, start: int, end: int) -> tuple[Any, ...]:
        """Return (kind, *fields) of the frame whose fields lie in data[start:end]."""
        name = self.message.name
        position = start + self.struct.size
        if position > end:
            raise WireError(f"{name} is too short")
        numbers = self.struct.unpack_from(data, start)
        fields: list[Any] = [self.message.number, *numbers[: self.fixed]]
        for at, allowed in self.checks:
            if numbers[at] not in allowed:
                raise WireError(f"{name}: {numbers[at]} is no {self.message.fields[at][0]}")
        for at in self.flags:
            fields[at + 1] = bool(numbers[at])
        for length in numbers[self.fixed :]:
            fields.append(self._text(data, position, position + length, end))
            position += length
        if self.rest:
            rest = data[position:end]
            fields.append(_unpack_peers(rest) if self.rest == "peers" else rest)
        elif position != end:
            raise WireError(f"{name} is too long")
        return tuple(fields)

    def _text(self, data: bytes, start: int, stop: int, end: int) -> str:
        if stop > end:
            raise WireError(f"{self.message.name} is too short for its text")
        try:
            return data[start:stop].decode()
        except UnicodeDecodeError:
            raise WireError(f"{self.message.name}: the text is no UTF-8") from None


LAYOUTS: Final[dict[int, Layout]] = {row.number: Layout(row) for row in BY_NUMBER.values()}


def encode(kind: int, *fields: Any) -> bytes:
    """Return the frame of a message, fields as its row lists them.

    Raises ValueError for an unknown kind and for fields that do not match its row: a bug here,
    whereas WireError is a peer's fault.
    """
    layout = LAYOUTS.get(kind)
    if layout is None:
        raise ValueError(f"no message has the number {kind}")
    return layout.encode(fields)


def decode(frame: bytes) -> tuple[Any, ...]:
    """Return (kind, *fields) of one whole frame that `encode` made."""
    return LAYOUTS[frame[4]].decode(frame, HEADER.size, len(frame))


class Decoder:
    """Bytes of one direction of one link to messages.

    `limit` bounds the length of a frame behind its header, so a partial frame holds at most that
    much; `sender` is the role at the other end (messages.SHARD, SUPERVISOR, ADMIN), or several.
    """

    __slots__ = ("_decode", "_is_failed", "_need", "_rest", "limit")

    def __init__(self, limit: int, sender: int) -> None:
        self.limit = limit
        self._decode: dict[int, Callable[[bytes, int, int], tuple[Any, ...]]] = {
            number: layout.decode
            for number, layout in LAYOUTS.items()
            if layout.message.senders & sender
        }
        self._rest = bytearray()  # an incomplete frame
        self._need = 0  # and the size that it needs before it can be parsed
        self._is_failed = False

    @property
    def pending(self) -> int:
        """Bytes of the incomplete frame."""
        return len(self._rest)

    @property
    def incomplete(self) -> bytes:
        """The incomplete frame: another decoder continues when it is fed with it."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> list[tuple[Any, ...]]:
        """Return the messages that `data` completes, each (kind, *fields); raises WireError."""
        if self._is_failed:
            raise WireError("the stream was wrong before")
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        messages: list[tuple[Any, ...]] = []
        try:
            position = self.walk(data, messages)
        except WireError:
            self._is_failed = True
            raise
        if position < len(data):
            self._rest += data[position:]
        return messages

    def walk(self, data: bytes, messages: list[tuple[Any, ...]]) -> int:
        """Append the messages of `data`; return where an incomplete frame begins."""
        position = 0
        while position < len(data):
            end = self.next_message(data, position, messages)
            if not end:
                break
            position = end
        return position

    def next_message(self, data: bytes, position: int, messages: list[tuple[Any, ...]]) -> int:
        """Append the message at `position` by the table; return its end, 0 while incomplete."""
        start = position + HEADER.size
        if start > len(data):
            self._need = HEADER.size
            return 0
        length: int
        length, kind = HEADER.unpack_from(data, position)
        if length > self.limit:
            raise WireError(f"a frame of {length} bytes is above the limit of {self.limit}")
        decode = self._decode.get(kind)
        if decode is None:
            row = BY_NUMBER.get(kind)
            raise WireError(f"{row.name} from a wrong sender" if row else f"unknown kind {kind}")
        end = start + length
        if end > len(data):
            self._need = HEADER.size + length
            return 0
        if kind == HELLO:
            _check_version(data[start:end])
        messages.append(decode(data, start, end))
        return end
