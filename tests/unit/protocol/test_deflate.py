"""permessage-deflate: the agreement, and messages within their bounds."""

import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.errors import ProtocolError
from shardws.protocol import deflate
from shardws.protocol.deflate import Deflate, Inflation, Profile, negotiate
from tests.unit.protocol.client import pieces_of

NAME = "permessage-deflate"
SHARED = f"{NAME}; server_no_context_takeover; client_no_context_takeover"
LIMIT = 100_000
PLAIN = b"".join(b'{"id": %d, "name": "user%d"}' % (n, n) for n in range(100))


def agreed(profile: str, offer: str = NAME) -> Deflate:
    found = negotiate(offer, Profile(profile))
    assert found is not None
    return found[1]


class Client:
    """The other side, with zlib alone."""

    def __init__(self, takeover: bool, bits: int = 15) -> None:
        self.takeover = takeover
        self.bits = bits
        self.renew()

    def renew(self) -> None:
        self.packer = zlib.compressobj(wbits=-self.bits)
        self.unpacker = zlib.decompressobj(-self.bits)

    def pack(self, plain: bytes, final: bool = False) -> bytes:
        """A message; `final`: by a block with BFINAL (RFC 7692 7.2.3.4)."""
        packed = self.packer.compress(plain)
        if final:
            packed += self.packer.flush(zlib.Z_FINISH) + b"\x00"
            self.packer = zlib.compressobj(wbits=-self.bits)
        else:
            packed = (packed + self.packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if not self.takeover:
            self.renew()
        return packed

    def unpack(self, packed: bytes) -> bytes:
        plain = self.unpacker.decompress(packed + b"\x00\x00\xff\xff")
        if not self.takeover:
            self.renew()
        return plain


# offer, the answer of the profile shared, the answer of dedicated; None: declined
OFFERS = [
    (NAME, SHARED, f"{NAME}; server_max_window_bits=12"),
    (f"{NAME}; client_max_window_bits", SHARED, "12; client 12"),
    (f"{NAME}; client_max_window_bits=15", SHARED, "12; client 12"),
    (f"{NAME}; client_max_window_bits=10", SHARED, "12; client 10"),
    (f"{NAME}; client_max_window_bits=8", SHARED, "12; client 8"),
    (f'{NAME}; client_max_window_bits="9"', SHARED, "12; client 9"),
    (f"{NAME}; server_max_window_bits=15", SHARED, "12"),
    (f"{NAME}; server_max_window_bits=9", f"{SHARED}; server_max_window_bits=9", "9"),
    (f'{NAME}; server_max_window_bits="10"', f"{SHARED}; server_max_window_bits=10", "10"),
    (f"{NAME}; server_no_context_takeover", SHARED, f"{NAME}; server_no_context_takeover; 12"),
    (f"{NAME}; client_no_context_takeover", SHARED, f"{NAME}; client_no_context_takeover; 12"),
    (f"x-webkit-deflate-frame, {NAME}", SHARED, "12"),
    (f"{NAME}; server_max_window_bits=8, {NAME}", SHARED, "12"),
    (f"{NAME}; unknown, {NAME}", SHARED, "12"),
    (f"{NAME}; unknown=1", None, None),
    (f"{NAME}; server_max_window_bits=8", None, None),
    (f"{NAME}; server_max_window_bits", None, None),
    (f"{NAME}; server_max_window_bits=", None, None),
    (f"{NAME}; server_max_window_bits=16", None, None),
    (f"{NAME}; server_max_window_bits=7", None, None),
    (f"{NAME}; server_max_window_bits=010", None, None),
    (f"{NAME}; server_max_window_bits=abc", None, None),
    (f"{NAME}; server_max_window_bits=-9", None, None),
    (f"{NAME}; client_max_window_bits=16", None, None),
    (f"{NAME}; client_max_window_bits=abc", None, None),
    (f'{NAME}; client_max_window_bits=""', None, None),
    (f"{NAME}; client_no_context_takeover=1", None, None),
    (f"{NAME}; server_no_context_takeover=true", None, None),
    (f"{NAME}; client_max_window_bits; client_max_window_bits", None, None),
    (f"{NAME}; server_no_context_takeover; server_no_context_takeover", None, None),
    (f"{NAME}; Server_No_Context_Takeover", None, None),
    ("x-other", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("offer", "shared", "dedicated"), OFFERS)
def test_offers(offer: str, shared: str | None, dedicated: str | None) -> None:
    if dedicated is not None and not dedicated.startswith(NAME):
        dedicated = f"{NAME}; {dedicated}"
    if dedicated is not None:
        dedicated = dedicated.replace("; client ", "; client_max_window_bits=")
        for bits in ("9", "10", "12"):
            dedicated = dedicated.replace(f"; {bits}", f"; server_max_window_bits={bits}")
    for profile, answer in (("shared", shared), ("dedicated", dedicated)):
        found = negotiate(offer, Profile(profile))
        assert (found and found[0]) == answer
        if found is not None:
            assert found[1].parameters == answer


def test_off_declines_everything() -> None:
    assert negotiate(NAME, Profile("off")) is None


def test_several_headers_are_one_list() -> None:
    assert negotiate(["x-other", f"{NAME}; bad", NAME], Profile("shared")) is not None


def test_another_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="shared"):
        Profile("most")


def test_the_answer_offered_again_gives_the_same_agreement() -> None:
    """So a connection without takeover can be handed over by this text alone."""
    for offer in (NAME, f"{NAME}; server_max_window_bits=9; client_max_window_bits"):
        found = agreed("shared", offer)
        assert not found.keeps_context
        assert agreed("shared", found.parameters).parameters == found.parameters


def test_connections_share_what_keeps_nothing() -> None:
    shared, dedicated = Profile("shared"), Profile("dedicated")
    assert len({id(agree(shared)) for _ in range(3)}) == 1
    kept = [agree(dedicated) for _ in range(3)]
    assert len({id(one) for one in kept}) == 3
    assert all(one.keeps_context for one in kept)


def agree(profile: Profile) -> Deflate:
    found = negotiate(NAME, profile)
    assert found is not None
    return found[1]


NO_TAKEOVER = "; client_no_context_takeover; server_no_context_takeover"


@pytest.mark.parametrize("bits", [9, 10, 12, 15])
@pytest.mark.parametrize("profile", ["shared", "dedicated"])
@pytest.mark.parametrize("extra", ["", NO_TAKEOVER])
def test_messages_go_there_and_back(profile: str, extra: str, bits: int) -> None:
    deflate_ = agreed(profile, f"{NAME}; server_max_window_bits={bits}{extra}")
    client = Client(takeover=profile == "dedicated" and not extra)
    for plain in (PLAIN, b"a" * 70000, PLAIN, b"a" * 20, PLAIN[:700]):
        packed = deflate_.compress(plain)
        assert packed is not None
        assert client.unpack(packed) == plain
        assert deflate_.inflate(client.pack(plain), LIMIT) == plain


def test_the_windows_stay_within_their_bits() -> None:
    """A message whose only repetition is far away fits an inflater of the agreed size."""
    plain = bytes(range(256)) * 2 + bytes(5000) + bytes(range(256))
    for bits in (9, 12):
        for profile in ("shared", "dedicated"):
            deflate_ = agreed(profile, f"{NAME}; server_max_window_bits={bits}")
            packed = deflate_.compress(plain)
            assert packed is not None
            assert zlib.decompressobj(-bits).decompress(packed + deflate.TAIL) == plain


def test_a_shared_compressor_never_refers_to_another_message() -> None:
    profile = Profile("shared")
    one, two = (negotiate(NAME, profile) for _ in range(2))
    assert one is not None
    assert two is not None
    for turn in range(50):
        for found in (one[1], two[1]):
            packed = found.compress(PLAIN[turn:])
            assert packed is not None
            assert zlib.decompress(packed + deflate.TAIL + deflate.END, -15) == PLAIN[turn:]


def test_a_dedicated_connection_uses_what_went_before() -> None:
    deflate_ = agreed("dedicated")
    first, second = deflate_.compress(PLAIN), deflate_.compress(PLAIN)
    assert first is not None
    assert second is not None
    assert len(second) < len(first) / 3


def test_what_does_not_shrink_goes_out_as_it_is() -> None:
    noise = bytes(range(256))
    assert agreed("shared").compress(noise) is None
    assert agreed("shared").compress(b"") is None
    assert agreed("dedicated").compress(b"") is None
    assert agreed("dedicated").compress(noise) is not None  # the window has moved


# -- inbound --------------------------------------------------------------------------------------


def inflate(deflate_: Deflate, packed: bytes, limit: int, size: int | None) -> bytes:
    """In one piece by `inflate` (None), or by an Inflation in pieces."""
    if size is None:
        return deflate_.inflate(packed, limit)
    message = Inflation(deflate_, limit)
    return b"".join(message.feed(piece) for piece in pieces_of(packed, size)) + message.finish()


WAYS = pytest.mark.parametrize("size", [None, 0, 1, 7])
PROFILES = pytest.mark.parametrize("profile", ["shared", "dedicated"])


@WAYS
@PROFILES
def test_messages_of_every_make(profile: str, size: int | None) -> None:
    """RFC 7692 7.2.3: the examples, empty messages, stored and final blocks, one after another."""
    deflate_ = agreed(profile)
    hello = bytes.fromhex("f248cdc9c90700")
    cases = [
        (hello, b"Hello"),
        (bytes.fromhex("000500faff48656c6c6f00"), b"Hello"),
        (bytes.fromhex("f348cdc9c9070000"), b"Hello"),  # BFINAL, and the 00 behind it
        (bytes.fromhex("f348cdc9c90700"), b"Hello"),  # BFINAL, without that 00
        (bytes.fromhex("f24805000000ffffcac9c90700"), b"Hello"),  # two blocks
        (b"\x00", b""),
        (b"", b""),
        (b"\x03\x00" * 5 + hello, b"Hello"),  # empty final blocks in front
        (bytes.fromhex("f348cdc9c90700") * 3, b"HelloHelloHello"),
    ]
    for packed, plain in cases * 2:
        assert inflate(deflate_, packed, LIMIT, size) == plain
        assert inflate(deflate_, hello, LIMIT, size) == b"Hello"


@WAYS
@PROFILES
def test_a_final_block_does_not_spoil_what_follows(profile: str, size: int | None) -> None:
    deflate_, client = agreed(profile), Client(takeover=profile == "dedicated")
    for final in (False, True, True, False, False):
        assert inflate(deflate_, client.pack(PLAIN, final), LIMIT, size) == PLAIN


@WAYS
@PROFILES
@pytest.mark.parametrize(
    "packed", [b"\xff", b"\x07\xff", b"\x00\x05\x00\x00\x00hello", b"\x06\xff"]
)
def test_corrupt_data(profile: str, size: int | None, packed: bytes) -> None:
    with pytest.raises(ProtocolError, match="corrupt") as raised:
        inflate(agreed(profile), packed, LIMIT, size)
    assert raised.value.close_code == 1007


@WAYS
def test_a_message_that_stops_inside_a_block(size: int | None) -> None:
    """The inflater says nothing about it by itself; without takeover it is found."""
    packed = Client(takeover=False).pack(PLAIN)
    for cut in (1, 2, len(packed) // 2, len(packed) - 1):
        with pytest.raises(ProtocolError, match="corrupt") as raised:
            inflate(agreed("shared"), packed[:cut], LIMIT, size)
        assert raised.value.close_code == 1007


def test_no_message_refers_to_another_of_a_shared_profile() -> None:
    """A client that goes on with its window would read other clients' bytes: 1007."""
    deflate_, client = agreed("shared"), Client(takeover=True)
    deflate_.inflate(client.pack(PLAIN), LIMIT)
    with pytest.raises(ProtocolError, match="distance"):
        deflate_.inflate(client.pack(PLAIN), LIMIT)


@WAYS
@PROFILES
def test_the_limit_is_the_largest_that_passes(profile: str, size: int | None) -> None:
    for takes_bfinal in (False, True):
        deflate_, client = agreed(profile), Client(takeover=profile == "dedicated")
        packed = client.pack(bytes(5000), takes_bfinal)
        assert len(inflate(deflate_, packed, 5000, size)) == 5000
        packed = client.pack(bytes(5001), takes_bfinal)
        with pytest.raises(ProtocolError, match="inflates") as raised:
            inflate(deflate_, packed, 5000, size)
        assert raised.value.close_code == 1009


@WAYS
def test_a_bomb_takes_no_more_than_the_limit(size: int | None) -> None:
    """65 KB that inflate to 64 MiB."""
    bomb = Client(takeover=False).pack(bytes(64 << 20))
    deflate_ = agreed("shared")
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="inflates"):
            inflate(deflate_, bomb, 1 << 20, size)
        assert tracemalloc.get_traced_memory()[1] < 5 << 19  # blocks of output, then all
    finally:
        tracemalloc.stop()


@WAYS
def test_final_blocks_are_counted(size: int | None) -> None:
    """Each costs a copy of what is behind it: without a bound 256 KiB of them take seconds."""
    deflate_ = agreed("shared")
    assert inflate(deflate_, b"\x03\x00" * 1000, LIMIT, size) == b""
    with pytest.raises(ProtocolError, match="final blocks"):
        inflate(deflate_, b"\x03\x00" * 2000, LIMIT, size)


@settings(max_examples=200, deadline=None)
@given(packed=st.binary(max_size=60), cut=st.integers(0, 60))
def test_in_one_piece_or_two_the_same(packed: bytes, cut: int) -> None:
    """Whatever arrives, both ways give the same plain bytes or the same close code."""

    def run(size: int | None) -> bytes | int:
        try:
            if size is None:
                return agreed("shared").inflate(packed, 200)
            message = Inflation(agreed("shared"), 200)
            return message.feed(packed[:cut]) + message.feed(packed[cut:]) + message.finish()
        except ProtocolError as error:
            return error.close_code

    one, two = run(None), run(0)
    assert one == two or {one, two} == {1007, 1009}
