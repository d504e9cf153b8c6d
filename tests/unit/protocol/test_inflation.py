"""Compressed messages that come in, of every make, within their bounds."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.errors import ProtocolError
from shardws.protocol.deflate import Deflate, Inflation
from tests.unit.protocol.client_frames import chunks_of
from tests.unit.protocol.deflate_client import LIMIT, PLAIN, DeflateClient, agreed


def inflate(deflate_: Deflate, packed: bytes, limit: int, size: int | None) -> bytes:
    """In one piece by `inflate` (None), or by an Inflation in pieces."""
    if size is None:
        return deflate_.inflate(packed, limit)
    message = Inflation(deflate_, limit)
    return b"".join(message.feed(piece) for piece in chunks_of(packed, size)) + message.finish()


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
    deflate_, client = agreed(profile), DeflateClient(takeover=profile == "dedicated")
    for final in (False, True, True, False, False):
        assert inflate(deflate_, client.compress(PLAIN, final), LIMIT, size) == PLAIN


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
    packed = DeflateClient(takeover=False).compress(PLAIN)
    for cut in (1, 2, len(packed) // 2, len(packed) - 1):
        with pytest.raises(ProtocolError, match="corrupt") as raised:
            inflate(agreed("shared"), packed[:cut], LIMIT, size)
        assert raised.value.close_code == 1007


def test_no_message_refers_to_another_of_a_shared_profile() -> None:
    """A client that goes on with its window would read other clients' bytes: 1007."""
    deflate_, client = agreed("shared"), DeflateClient(takeover=True)
    deflate_.inflate(client.compress(PLAIN), LIMIT)
    with pytest.raises(ProtocolError, match="distance"):
        deflate_.inflate(client.compress(PLAIN), LIMIT)


@WAYS
@PROFILES
def test_the_limit_is_the_largest_that_passes(profile: str, size: int | None) -> None:
    for takes_bfinal in (False, True):
        deflate_, client = agreed(profile), DeflateClient(takeover=profile == "dedicated")
        packed = client.compress(bytes(5000), takes_bfinal)
        assert len(inflate(deflate_, packed, 5000, size)) == 5000
        packed = client.compress(bytes(5001), takes_bfinal)
        with pytest.raises(ProtocolError, match="inflates") as raised:
            inflate(deflate_, packed, 5000, size)
        assert raised.value.close_code == 1009


@WAYS
def test_a_bomb_takes_no_more_than_the_limit(size: int | None) -> None:
    """65 KB that inflate to 64 MiB."""
    bomb = DeflateClient(takeover=False).compress(bytes(64 << 20))
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
