"""Fuzz target: the record of a connection that another process wrote.

Invariant: any bytes are a record or RecordError, and a record that was read is written as the bytes
it was read from.
"""

from shardws import ids
from shardws.errors import RecordError
from shardws.wire import record
from shardws.wire.record import Record
from tests.fuzz import driver

WHOLE = record.encode(
    Record(
        ids.pack(0, 1, 2, 3),
        head=b"GET / HTTP/1.1\r\n\r\n",
        groups=("a", "b"),
        accepts_data=False,
        held=((1, b"a", True),),
        unsent=b"\x81\x01a",
        late_pong=b"p",
        ahead=(1, 2),
        user_data=b"u",
    )
)


def changed(data: bytes) -> bytes:
    """A whole record with bytes replaced: pairs of a position and a value."""
    made = bytearray(WHOLE)
    for at in range(0, len(data) - 1, 2):
        made[data[at] % len(made)] = data[at + 1]
    return bytes(made)


def fuzz_record(data: bytes) -> None:
    """Run one input: the bytes themselves, and a whole record that they change."""
    for tried in (data, record.VERSION.to_bytes(2, "little") + data, changed(data[:24])):
        try:
            found = record.decode(tried)
        except RecordError:
            continue
        assert record.encode(found) == tried, tried


if __name__ == "__main__":
    driver.main(fuzz_record)
