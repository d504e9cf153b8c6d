"""Generates what a peer might write on a link, valid and broken, from a source of choices."""

import struct

from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.protocol.random_streams import Source, mutated

IDS = (1, 7, (1 << 53) - 1, (1 << 64) - 1)
OTHERS = (
    (m.SYNC, 3),
    (m.GOODBYE,),
    (m.CLOSE, 7, 1000, "über"),
    (m.PUBLISH, 1, "room", b"text"),
    (m.BROADCAST, 2, b""),
    (m.RESULT, 7, 1, 3),
    (m.DELIVER_FORMATTED, 7, b"text"),
    (m.READY, 1),  # not from the peer of a link
)


def deliver(source: Source) -> bytes:
    """A DELIVER, nearly always of a format there is, with a short payload or a longer one."""
    data_format = (1, 2, 9, 10, 1, 2, 1, 8)[source.randrange(8)]
    payload = source.randbytes(source.randrange(200 if source.randrange(3) else 2))
    head = struct.pack("<QB", IDS[source.randrange(len(IDS))], data_format)
    return struct.pack("<IB", len(head) + len(payload), m.DELIVER) + head + payload


def stream(source: Source) -> bytes:
    """Some messages, most of them DELIVERs, in half of the cases with a few bytes changed."""
    data = b""
    for _ in range(1 + source.randrange(8)):
        if source.randrange(4):
            data += deliver(source)
        else:
            data += encode(*OTHERS[source.randrange(len(OTHERS))])
    return mutated(source, data)
