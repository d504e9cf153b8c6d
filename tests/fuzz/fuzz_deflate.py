"""Fuzz target: permessage-deflate, its offers and its messages.

Invariant: any offer is answered or declined; any compressed message, in one piece or in any pieces,
inflates to what zlib makes of it, or ends with 1007 or 1009, and never to more than the limit; and
what we compress, zlib inflates.
"""

import zlib

from shardws.errors import ProtocolError
from shardws.protocol import deflate
from shardws.protocol.deflate import NAME, Deflate, Inflation, Profile
from tests.fuzz import driver
from tests.unit.protocol import random_streams

LIMIT = 5000
PARTS = (
    *(NAME, "; ", ", ", "=", '"', "\\", "8", "9", "15", "16", "x", " ", "\t", "(", "ü"),
    *(deflate.SERVER_BITS, deflate.CLIENT_BITS),
    *(deflate.SERVER_NO_TAKEOVER, deflate.CLIENT_NO_TAKEOVER),
)
SHARED = Profile("shared")
DEDICATED = Profile("dedicated")


def offer(source: random_streams.Input) -> str:
    """A list of offers, almost."""
    return NAME + "".join(PARTS[source.randrange(len(PARTS))] for _ in range(source.randrange(12)))


def outcome(agreed: Deflate, packed: bytes, cuts: list[int]) -> bytes | int:
    """The plain message, or the close code; with cuts in pieces."""
    try:
        if not cuts:
            return agreed.inflate(packed, LIMIT)
        message, plain, at = Inflation(agreed, LIMIT), b"", 0
        for cut in cuts:
            plain += message.feed(packed[at : at + cut])
            at += cut
        return plain + message.feed(packed[at:]) + message.finish()
    except ProtocolError as error:
        return error.close_code


def fuzz_deflate(data: bytes) -> None:
    """Run one input."""
    source = random_streams.Input(data)
    profile = DEDICATED if source.randrange(2) else SHARED
    text = offer(source)
    found = deflate.negotiate(text, profile)
    if found is None:
        found = deflate.negotiate(NAME, profile)
        assert found is not None
    answer, agreed = found
    again = deflate.negotiate(answer, profile)
    assert again is not None
    assert again[0] == answer
    cuts = random_streams.cuts(source)
    packed = source.data[source.at :]
    one, other = outcome(agreed, packed, []), outcome(again[1], packed, cuts)
    assert one == other or {one, other} == {1007, 1009}, (one, other)
    if isinstance(one, bytes):
        assert len(one) <= LIMIT
        reference = zlib.decompressobj(-15)
        assert one.startswith(reference.decompress(packed + deflate.TAIL)[:LIMIT])
    check_outbound(agreed, packed)


def check_outbound(agreed: Deflate, plain: bytes) -> None:
    """A new connection's compressor, or the shared one, against zlib."""
    packed = agreed.compress(plain)
    if packed is not None:
        assert zlib.decompressobj(-15).decompress(packed + deflate.TAIL) == plain


if __name__ == "__main__":
    driver.main(fuzz_deflate)
