"""Counts TLS records, so that OpenSSL is read from exactly as often as it has data.

Owns the walk over the 5-byte headers from the first byte of a connection.
Facts: a memory BIO cannot tell whether a whole record waits, and a read without data costs 1.9 us
(an exception) for each received chunk. The length is at most 2**14 + 2048 (RFC 5246 section 6.2.3).
"""

from typing import Final

HEADER: Final = 5
MAX_LENGTH: Final = 16384 + 2048


class RecordCounter:
    """Tells how many records a chunk completes."""

    __slots__ = ("_head", "_missing")

    def __init__(self) -> None:
        self._head = b""  # of a record whose header is not whole
        self._missing = 0  # bytes of the current record still to come

    @property
    def place(self) -> tuple[bytes, int]:
        """Where the next byte belongs: behind these of a header, or how many a record lacks."""
        return self._head, self._missing

    @place.setter
    def place(self, place: tuple[bytes, int]) -> None:
        self._head, self._missing = place

    def count(self, data: bytes) -> int:
        """Return the number of records that end in `data`.

        A record that is too long counts at its header: OpenSSL refuses it there, and waiting for
        its end would only buffer it.
        """
        size = len(data)
        if (
            size > HEADER
            and HEADER + (data[3] << 8 | data[4]) == size
            and not self._missing
            and not self._head
        ):
            return 1  # the usual case: one chunk, one record
        return self._walk(data, size)

    def _walk(self, data: bytes, size: int) -> int:
        at = complete = 0
        while at < size:
            if self._missing:
                step = min(self._missing, size - at)
                at += step
                self._missing -= step
                complete += not self._missing
                continue
            head = self._head + data[at : at + HEADER - len(self._head)]
            at += len(head) - len(self._head)
            if len(head) < HEADER:
                self._head = head
                break
            self._head = b""
            self._missing = head[3] << 8 | head[4]
            complete += not 0 < self._missing <= MAX_LENGTH
        return complete
