"""Our decoder (with wsproto as its fallback) against wsproto alone: same messages, same close code.

Both read the same stream, ours in random reads, with each implementation, in pieces or buffered,
with and without compression. `reference_decoder.agree` lists the known differences with reasons.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.protocol import codec, deflate
from shardws.protocol.session import Session, SessionConfig
from tests.unit.protocol import random_streams, reference_decoder
from tests.unit.protocol.client_frames import close, frame
from tests.unit.protocol.random_streams import Source
from tests.unit.protocol.reference_decoder import Decoded, ReferenceDecoder

STREAMS = 400  # in a block, each with its own seed
# A buffered frame is allocated at its header, so there must be a limit; `agree` knows it.
NO_LIMIT = (1 << 63) - 2  # zlib counts one further
LARGE = 1 << 24


def session_of(is_buffered: bool, is_compressed: bool, limit: int) -> Session:
    config = SessionConfig(max_message_size=limit, buffer_message=is_buffered)
    agreed = deflate.negotiate("permessage-deflate", deflate.Profile("shared"))
    assert agreed is not None
    return Session(config, agreed[1] if is_compressed else None)


def compare(data: bytes, cuts: list[int], is_buffered: bool, is_compressed: bool) -> None:
    theirs_alone = ReferenceDecoder(is_compressed)
    theirs = theirs_alone.decode(data)
    limit = LARGE if is_buffered else NO_LIMIT
    ours = reference_decoder.decode(session_of(is_buffered, is_compressed, limit), data, cuts)
    assert reference_decoder.agree(ours, theirs, theirs_alone, is_buffered), (
        ours,
        theirs,
        data,
        cuts,
    )


def compare_any(source: Source) -> None:
    is_buffered, is_compressed = bool(source.randrange(2)), bool(source.randrange(2))
    data = random_streams.stream(source, is_compressed)
    compare(data, random_streams.cuts(source), is_buffered, is_compressed)


@pytest.mark.parametrize("block", range(5))
def test_random_streams(implementation: codec.Implementation, block: int) -> None:
    for seed in range(block * STREAMS, (block + 1) * STREAMS):
        compare_any(random_streams.seeded(seed))


@settings(max_examples=400, deadline=None)
@given(st.binary(min_size=8, max_size=600))
def test_streams_that_hypothesis_finds(data: bytes) -> None:
    compare_any(random_streams.Input(data))


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=40), cut=st.integers(1, 9), ways=st.tuples(st.booleans(), st.booleans())
)
def test_any_bytes(data: bytes, cut: int, ways: tuple[bool, bool]) -> None:
    compare(data, [cut], *ways)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_every_first_pair_of_bytes(
    implementation: codec.Implementation, is_compressed: bool
) -> None:
    """All 256 first bytes with the lengths at the edges, at rest and inside a message."""
    for first in range(256):
        for second in (0, 1, 0x80, 0x81, 0xFD, 0xFE, 0xFF):
            tail = bytes((first, second)) + b"\x00\x7e" + b"\x01" * 8 + b"abcdefgh"
            for front in (b"", frame(1, b"a")):
                compare(front + tail, [1], False, is_compressed)


def test_every_close_code(implementation: codec.Implementation) -> None:
    for code in [*range(1020), 2999, 3000, 3999, 4000, 4999, 5000, 65535]:
        compare(close(code), [], False, False)


def test_a_limit_only_shortens_the_result(implementation: codec.Implementation) -> None:
    """With a small limit: all that wsproto alone tells, up to the message that is too large."""
    for seed in range(STREAMS):
        source = random_streams.seeded(seed)
        data, cuts, limit = random_streams.stream(source, False), random_streams.cuts(source), 20
        theirs = ReferenceDecoder().decode(data)
        ours = reference_decoder.decode(session_of(bool(seed & 1), False, limit), data, cuts)
        if ours.code != 1009 or not ours.is_violation:
            check_unlimited(ours, theirs, limit)
            continue
        known = len(ours.frames)
        assert ours.frames == theirs.frames[:known]
        messages = [payload for kind, payload in theirs.frames[known:] if kind < 8]
        assert not messages or len(messages[0]) > limit
        assert len(ours.rest) <= limit


def check_unlimited(ours: Decoded, theirs: Decoded, limit: int) -> None:
    """Nothing was too large."""
    assert ours.frames == theirs.frames
    assert all(len(payload) <= limit for kind, payload in ours.frames if kind < 8)
    assert ours.code in (theirs.code, 1014)
