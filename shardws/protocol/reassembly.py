"""Uncompressed messages that are not whole yet: one frame in several reads, or several frames.

Owns what is held of them; knows no headers. Whole and Message have `missing` and `take`. Pieces are
passed on as they come, or kept until the message is whole, as the setting BufferMessage says. Text
that cannot become valid UTF-8 any more fails at once (1007).
"""

import codecs
from typing import Final, Protocol

from shardws.errors import ProtocolError
from shardws.protocol import codec, frame_header
from shardws.protocol.frames import FIN, TEXT, Item
from shardws.protocol.slices import Slice

_utf8: Final = codecs.getincrementaldecoder("utf-8")


class Reassembly(Protocol):
    """A frame that is not whole yet."""

    @property
    def missing(self) -> int: ...
    @property
    def held(self) -> int: ...
    @property
    def received(self) -> bytes | None:
        """What came of it, as the peer sent it; None: a part of it was passed on."""

    def take(self, data: bytes, at: int, items: list[Item]) -> int: ...


def invalid_text() -> ProtocolError:
    """Return the error for text that is not UTF-8 (RFC 6455 8.1)."""
    return ProtocolError(1007, "text is not valid UTF-8")


def too_large(limit: int) -> ProtocolError:
    """Return the error for a message above the limit (RFC 6455 7.4.1)."""
    return ProtocolError(1009, f"message of more than {limit} bytes")


def check_text(payload: bytes) -> None:
    """Raise ProtocolError 1007 unless a whole message is valid UTF-8."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise invalid_text() from None


class Whole:
    """A frame that becomes one item when its last byte is here; allocated once, at its header."""

    __slots__ = ("_filler", "_key", "_kind", "_size")

    def __init__(self, kind: int, size: int, key: bytes) -> None:
        self._kind = kind
        self._size = size
        self._key = key
        self._filler = codec.Filler(kind, size, key)

    @property
    def missing(self) -> int:
        """Payload bytes still to come."""
        return self._filler.missing

    @property
    def held(self) -> int:
        """Payload bytes that are here."""
        return self._size - self._filler.missing

    @property
    def received(self) -> bytes:
        """Its header and the payload that is here, as the peer sent them."""
        payload = self._filler.taken()
        masked = codec.unmask(payload, 0, len(payload), self._key)
        return frame_header.masked(FIN | self._kind, self._size, self._key) + masked

    def take(self, data: bytes, at: int, items: list[Item]) -> int:
        """Take from data[at:]; return the position behind. ProtocolError 1007."""
        filler = self._filler
        try:
            at = filler.feed(data, at)
            if not filler.missing:
                items.append((self._kind, filler.finish(), True))
        except ValueError:
            raise invalid_text() from None
        return at


class Delivery:
    """Where the pieces of one message after the other go: on as they come, or kept until whole."""

    __slots__ = ("_kept", "is_kept")

    def __init__(self, is_kept: bool) -> None:
        self.is_kept = is_kept
        self._kept = bytearray()  # at most one message: whoever adds has counted

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._kept)

    def add(self, kind: int, piece: bytes, eom: bool, items: list[Item]) -> None:
        """Append an item to `items`, or keep the piece."""
        if not self.is_kept:
            if piece or eom:
                items.append((kind, piece, eom))
            return
        self._kept += piece
        if eom:
            items.append((kind, bytes(self._kept), True))
            self._kept = bytearray()


class Message:
    """An uncompressed message in pieces, of one frame or of several; text in whole characters."""

    __slots__ = (
        "_decoder",
        "_delivery",
        "_is_cut",
        "_is_last",
        "_key",
        "_kind",
        "_limit",
        "_room",
        "held",
        "missing",
    )

    def __init__(self, kind: int, limit: int, delivery: Delivery) -> None:
        """`limit`: bytes of all its frames together."""
        self.missing = 0  # payload bytes of the present frame still to come
        self.held = 0  # what is kept, `delivery` keeps
        self._kind = kind
        self._limit = limit
        self._room = limit
        self._delivery = delivery
        self._decoder = _utf8() if kind == TEXT else None
        self._is_cut = False  # the pieces so far end inside a character
        self._is_last = False  # the present frame ends the message
        self._key = b""

    @property
    def received(self) -> None:
        """It is passed on in pieces, or its frames were joined."""

    @property
    def is_over(self) -> bool:
        """Its last byte was taken."""
        return self._is_last and not self.missing

    def begin(self, size: int, key: bytes, is_last: bool) -> None:
        """Read the header of its next frame, then `take` its payload; ProtocolError 1009."""
        if size > self._room:
            raise too_large(self._limit)
        self._room -= size
        self._key = key
        self._is_last = is_last
        self.missing = size

    def take(self, data: bytes, at: int, items: list[Item]) -> int:
        """Take from data[at:]; return the position behind. ProtocolError 1007."""
        stop = min(len(data), at + self.missing)
        piece = codec.unmask(data, at, stop, self._key)
        turn = (stop - at) & 3
        self._key = self._key[turn:] + self._key[:turn]
        self.missing -= stop - at
        self._add(piece, self.is_over, items)
        return stop

    def take_run(self, data: bytes, at: int, part: Slice) -> int:
        """Take the whole frames that come next; return the position behind. ProtocolError 1007."""
        items = part.items
        limit = part.units if self._delivery.is_kept else part.left
        payloads, at, self._is_last = codec.continuations(data, self._room, at, limit)
        if not payloads:
            return at
        part.units -= len(payloads)
        part.empty += payloads.count(b"") - (self._is_last and not payloads[-1])
        joined = b"".join(payloads)
        self._room -= len(joined)
        if self._delivery.is_kept:
            payloads = [joined]
        elif not self._is_cut and (self._decoder is None or joined.isascii()):
            kind, last = self._kind, payloads.pop()
            items += [(kind, payload, False) for payload in payloads if payload]
            payloads = [last]
        for payload in payloads[:-1]:
            self._add(payload, False, items)
        self._add(payloads[-1], self._is_last, items)
        return at

    def _add(self, piece: bytes, eom: bool, items: list[Item]) -> None:
        if self._decoder is not None and (self._is_cut or not piece.isascii()):
            try:
                text = self._decoder.decode(piece, eom)
            except UnicodeDecodeError:
                raise invalid_text() from None
            self._is_cut = bool(self._decoder.getstate()[0])
            piece = text.encode()
        self._delivery.add(self._kind, piece, eom, items)
