"""One ordinary frame that arrives in several reads: kept until whole, or passed on piece by piece.

Owns the rest of that frame; knows no other frame. Both classes have `missing` and `take`; the
setting BufferMessage chooses. Text that cannot become valid UTF-8 any more fails at once (1007).
"""

import codecs
from typing import Final, Protocol

from shardws.errors import ProtocolError
from shardws.protocol import codec
from shardws.protocol.frames import TEXT, Item

_utf8: Final = codecs.getincrementaldecoder("utf-8")


class Arrival(Protocol):
    """A frame that is not whole yet."""

    @property
    def missing(self) -> int: ...
    def take(self, data: bytes, at: int, items: list[Item]) -> int: ...


def invalid_text() -> ProtocolError:
    """Return the error for text that is not UTF-8 (RFC 6455 8.1)."""
    return ProtocolError(1007, "text is not valid UTF-8")


def check_text(payload: bytes) -> None:
    """Raise ProtocolError 1007 unless a whole message is valid UTF-8."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise invalid_text() from None


class Whole:
    """A frame that becomes one item when its last byte is here; allocated once, at its header."""

    __slots__ = ("_filler", "_kind")

    def __init__(self, kind: int, size: int, key: bytes) -> None:
        self._kind = kind
        self._filler = codec.Filler(kind, size, key)

    @property
    def missing(self) -> int:
        """Payload bytes still to come."""
        return self._filler.missing

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


class Pieces:
    """A frame whose payload is passed on as it arrives; text in whole characters."""

    __slots__ = ("_decoder", "_key", "_kind", "missing")

    def __init__(self, kind: int, size: int, key: bytes) -> None:
        self.missing = size
        self._kind = kind
        self._key = key
        self._decoder = _utf8() if kind == TEXT else None

    def take(self, data: bytes, at: int, items: list[Item]) -> int:
        """Take from data[at:]; return the position behind. ProtocolError 1007."""
        stop = min(len(data), at + self.missing)
        piece = codec.unmask(data, at, stop, self._key)
        turn = (stop - at) & 3
        self._key = self._key[turn:] + self._key[:turn]
        self.missing -= stop - at
        if self._decoder is not None:
            try:
                text = self._decoder.decode(piece, not self.missing)
            except UnicodeDecodeError:
                raise invalid_text() from None
            if not piece.isascii():  # a character may go over the edge
                piece = text.encode()
        if piece or not self.missing:
            items.append((self._kind, piece, not self.missing))
        return stop
