"""The client's side of permessage-deflate, with zlib alone."""

import zlib

from shardws.protocol.deflate import Deflate, Profile, negotiate

NAME = "permessage-deflate"
PLAIN = b"".join(b'{"id": %d, "name": "user%d"}' % (n, n) for n in range(100))
LIMIT = 100_000


def agreed(profile: str, offer: str = NAME) -> Deflate:
    found = negotiate(offer, Profile(profile))
    assert found is not None
    return found[1]


class DeflateClient:
    """The other side, with zlib alone."""

    def __init__(self, takeover: bool, bits: int = 15) -> None:
        self.takeover = takeover
        self.bits = bits
        self.renew()

    def renew(self) -> None:
        self.compressor = zlib.compressobj(wbits=-self.bits)
        self.decompressor = zlib.decompressobj(-self.bits)

    def compress(self, plain: bytes, final: bool = False) -> bytes:
        """A message; `final`: by a block with BFINAL (RFC 7692 7.2.3.4)."""
        packed = self.compressor.compress(plain)
        if final:
            packed += self.compressor.flush(zlib.Z_FINISH) + b"\x00"
            self.compressor = zlib.compressobj(wbits=-self.bits)
        else:
            packed = (packed + self.compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if not self.takeover:
            self.renew()
        return packed

    def decompress(self, packed: bytes) -> bytes:
        plain = self.decompressor.decompress(packed + b"\x00\x00\xff\xff")
        if not self.takeover:
            self.renew()
        return plain
