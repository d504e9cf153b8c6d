"""permessage-deflate (RFC 7692): the agreement, and messages in and out of zlib, bounded.

Owns zlib; knows no frames but their payloads. Facts to have before reading:

- Profile `shared` (no context takeover on either side) keeps nothing between messages: one
  compressor per window size serves the whole shard and is reset by Z_FULL_FLUSH at each message
  (3.4 us for 125 bytes; a new one 4 us, at first use 60), and one Deflate object serves all
  connections that agreed on the same. An inflater is made for each message (0.1 us): one that went
  on would let a client refer back into another connection's bytes.
- Profile `dedicated` keeps both windows for each connection, but small ones (BITS, MEMORY_LEVEL).
- Inflated bytes are counted piece by piece, so a bomb ends with 1009 within the limit.
- A final block (BFINAL) may stand within a message (RFC 7692 7.2.3.4). Whoever sends one has reset
  its compressor, so a new inflater goes on behind it.
- zlib cannot compress with a window of 8 bits: an offer that asks for it is declined.
"""

import zlib
from typing import Final

from shardws.errors import ProtocolError
from shardws.protocol import extension_offers
from shardws.protocol.extension_offers import Offer

NAME: Final = "permessage-deflate"
PROFILES: Final = ("off", "shared", "dedicated")

SERVER_NO_TAKEOVER: Final = "server_no_context_takeover"
CLIENT_NO_TAKEOVER: Final = "client_no_context_takeover"
SERVER_BITS: Final = "server_max_window_bits"
CLIENT_BITS: Final = "client_max_window_bits"

MAX_BITS: Final = 15
# Level 3 takes 0.55x of level 6's time on 4 KiB of JSON and makes 1.1x of its bytes.
LEVEL: Final = 3
SHARED_MEMORY_LEVEL: Final = 8  # zlib's own default; there are few of these
# What a dedicated connection keeps; `websockets` has the same numbers.
BITS: Final = 12
MEMORY_LEVEL: Final = 5

# What the sender of a message took off its end (RFC 7692 7.2.1).
TAIL: Final = b"\x00\x00\xff\xff"
# A final empty block: an inflater that does not end behind it was left inside a block.
END: Final = b"\x01\x00\x00\xff\xff"
# Each final block costs a copy of what is behind it; real senders use none, or one per flush.
MAX_FINAL_BLOCKS: Final = 1024


class Profile:
    """What a shard offers, and the compressors its connections share; `name`: see PROFILES."""

    def __init__(self, name: str) -> None:
        if name not in PROFILES:
            raise ValueError(f"deflate profile {name!r}; there are {', '.join(PROFILES)}")
        self.name = name
        self._compressors: dict[int, zlib._Compress] = {}
        self._agreed: dict[str, Deflate] = {}

    def compressor(self, bits: int) -> "zlib._Compress":
        """Return the shard's compressor for a window size; flush it fully after each message."""
        found = self._compressors.get(bits)
        if found is None:
            found = zlib.compressobj(LEVEL, zlib.DEFLATED, -bits, SHARED_MEMORY_LEVEL)
            self._compressors[bits] = found
        return found

    def agree(self, terms: dict[str, str | None]) -> "Deflate":
        """Return the Deflate for terms of `negotiate`; one for all when it keeps nothing."""
        made = Deflate(self, terms)
        return made if made.keeps_context else self._agreed.setdefault(made.parameters, made)


def negotiate(text: str | list[str], profile: Profile) -> "tuple[str, Deflate] | None":
    """Return the answer for Sec-WebSocket-Extensions and the codec; None: no extension.

    Takes the first offer with known, unrepeated, well-valued parameters (RFC 7692 5.1, 7.1).
    """
    if profile.name == "off":
        return None
    for offer in extension_offers.parse(text if isinstance(text, str) else ",".join(text)):
        terms = _terms(offer, profile.name == "shared")
        if terms is not None:
            agreed = profile.agree(terms)
            return agreed.parameters, agreed
    return None


def restore(parameters: str, profile: Profile) -> "Deflate":
    """Return the codec of an agreement that was made before, by its `parameters`.

    ValueError when they are none, or of one that keeps context, which is gone.
    """
    offers = extension_offers.parse(parameters)
    if len(offers) == 1 and _is_agreement(offers[0]):
        return profile.agree(dict(offers[0].parameters))
    raise ValueError(f"no agreement without context takeover: {parameters!r:.80}")


def _is_agreement(offer: Offer) -> bool:
    """Tell whether an offer reads like an answer of ours, without context takeover."""
    terms = dict(offer.parameters)
    is_valid = all(_is_valid(key, value) for key, value in offer.parameters)
    has_bits = all(terms.get(key, "15") is not None for key in (SERVER_BITS, CLIENT_BITS))
    keeps_nothing = {SERVER_NO_TAKEOVER, CLIENT_NO_TAKEOVER} <= terms.keys()
    is_unique = len(terms) == len(offer.parameters)
    return offer.name == NAME and is_unique and is_valid and has_bits and keeps_nothing


def _terms(offer: Offer, is_shared: bool) -> dict[str, str | None] | None:
    """Return the parameters of the answer to an offer; None to decline it."""
    asked = dict(offer.parameters)
    if offer.name != NAME or len(asked) != len(offer.parameters):
        return None
    for key, value in offer.parameters:
        if not _is_valid(key, value):
            return None
    terms: dict[str, str | None] = {}
    for key in (SERVER_NO_TAKEOVER, CLIENT_NO_TAKEOVER):
        if is_shared or key in asked:
            terms[key] = None
    limit = MAX_BITS if is_shared else BITS
    bits = min(limit, int(asked.get(SERVER_BITS) or MAX_BITS))
    if bits < MAX_BITS:
        terms[SERVER_BITS] = str(bits)
    if CLIENT_BITS in asked and not is_shared:  # else the client may not be told (7.1.2.2)
        terms[CLIENT_BITS] = str(min(limit, int(asked[CLIENT_BITS] or MAX_BITS)))
    return terms


def _is_valid(key: str, value: str | None) -> bool:
    """Tell whether an offer may carry this parameter (RFC 7692 7.1.1, 7.1.2)."""
    if key in (SERVER_NO_TAKEOVER, CLIENT_NO_TAKEOVER):
        return value is None
    if key == CLIENT_BITS:
        return value is None or value in _BITS
    return key == SERVER_BITS and value in _BITS and value != "8"


_BITS: Final = tuple(str(bits) for bits in range(8, MAX_BITS + 1))


class Deflate:
    """What one connection agreed on."""

    __slots__ = (
        "_compressor",
        "_inflater",
        "_profile",
        "_server_bits",
        "client_bits",
        "keeps_client_context",
        "parameters",
    )

    def __init__(self, profile: Profile, terms: dict[str, str | None]) -> None:
        shown = (
            f"; {key}" if value is None else f"; {key}={value}" for key, value in terms.items()
        )
        self.parameters = NAME + "".join(shown)  # as an offer, it gives this agreement again
        self._profile = profile
        self._server_bits = int(terms.get(SERVER_BITS) or MAX_BITS)
        # Clients that were told 8 are known to use 9: their zlib does so silently.
        self.client_bits = max(9, int(terms.get(CLIENT_BITS) or MAX_BITS))
        self.keeps_client_context = CLIENT_NO_TAKEOVER not in terms
        self._compressor: zlib._Compress | None = None
        if SERVER_NO_TAKEOVER not in terms:
            self._compressor = zlib.compressobj(
                LEVEL, zlib.DEFLATED, -self._server_bits, MEMORY_LEVEL
            )
        self._inflater: zlib._Decompress | None = None

    @property
    def keeps_context(self) -> bool:
        """It belongs to one connection, and cannot be handed over with it."""
        return self.keeps_client_context or self._compressor is not None

    def compress(self, payload: bytes) -> bytes | None:
        """Return a whole message compressed; None when it goes out better as it is."""
        if not payload:
            return None
        own = self._compressor
        if own is not None:  # the window has moved: it must be sent, shorter or not
            return (own.compress(payload) + own.flush(zlib.Z_SYNC_FLUSH))[:-4]
        shared = self._profile.compressor(self._server_bits)
        packed = shared.compress(payload) + shared.flush(zlib.Z_FULL_FLUSH)
        return packed[:-4] if len(packed) - 4 < len(payload) else None

    def inflate(self, payload: bytes, limit: int) -> bytes:
        """Return a whole message inflated; ProtocolError 1007, or 1009 above `limit` bytes."""
        if not self.keeps_client_context:
            inflater = self.inflater()
            try:
                plain = inflater.decompress(payload + TAIL + END, limit + 1)
            except zlib.error:
                plain = b""
            if len(plain) > limit:
                raise too_large(limit)
            if inflater.eof and not inflater.unused_data:
                return plain
        message = Inflation(self, limit)  # whatever is unusual, once more and with all care
        return message.feed(payload) + message.finish()

    def inflater(self) -> "zlib._Decompress":
        """Return the inflater for the next message."""
        return self._inflater or zlib.decompressobj(-self.client_bits)

    def keep(self, inflater: "zlib._Decompress") -> None:
        """Take back the inflater behind a message, when the client goes on with its window."""
        if self.keeps_client_context:
            self._inflater = inflater


def too_large(limit: int) -> ProtocolError:
    """Return the error for a message that does not stop at the limit."""
    return ProtocolError(1009, f"message inflates to more than {limit} bytes")


class Inflation:
    """One message that inflates piece by piece."""

    __slots__ = ("_deflate", "_final_blocks", "_inflater", "_is_fresh", "_left", "_limit")

    def __init__(self, deflate: Deflate, limit: int) -> None:
        self._deflate = deflate
        self._inflater = deflate.inflater()
        self._limit = limit
        self._left = limit  # bytes that may still come out
        self._is_fresh = True  # nothing was fed, or nothing since a final block
        self._final_blocks = 0

    def feed(self, data: bytes) -> bytes:
        """Return what the data inflates to; ProtocolError 1007 or 1009."""
        plain: list[bytes] = []
        while data:
            try:
                piece = self._inflater.decompress(data, self._left + 1)
            except zlib.error as error:
                raise ProtocolError(1007, f"corrupt compressed message: {error}") from None
            self._left -= len(piece)
            if self._left < 0:
                raise too_large(self._limit)
            plain.append(piece)
            self._is_fresh = self._inflater.eof
            data = self._behind_final_block() if self._is_fresh else b""
        return b"".join(plain)

    def finish(self) -> bytes:
        """Return the end of the message; ProtocolError 1007 when it stops inside a block."""
        plain = b""
        # A compressed message without a byte, and one that ends with a final block: RFC 7692 wants
        # a 00 in both cases, but what they mean is plain.
        if not self._is_fresh:
            plain = self.feed(TAIL)
            if not self._deflate.keeps_client_context:
                self._expect_end()
        self._deflate.keep(self._inflater)
        return plain

    def _expect_end(self) -> None:
        try:
            is_sound = self.feed(END) == b"" and self._is_fresh
        except ProtocolError:
            is_sound = False
        if not is_sound:
            raise ProtocolError(1007, "corrupt compressed message: it stops inside a block")

    def _behind_final_block(self) -> bytes:
        """Go on with a new inflater; return the bytes behind the final block."""
        self._final_blocks += 1
        if self._final_blocks > MAX_FINAL_BLOCKS:
            raise ProtocolError(1007, "corrupt compressed message: too many final blocks")
        behind = self._inflater.unused_data
        self._inflater = zlib.decompressobj(-self._deflate.client_bits)
        return behind
