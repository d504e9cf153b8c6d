"""Fuzz target: the frames of one client.

Invariant: whatever bytes arrive, in whatever reads, with or without compression and with either
implementation of the codec, a session tells just what wsproto alone tells, raises nothing, and
holds no more than its limit.

The input is a program for tests/unit/protocol/traffic.py: choices of frames, payloads, changes and
cuts, so that most inputs make a stream that gets somewhere.
"""

from shardws.protocol import codec, deflate
from shardws.protocol.session import Session, SessionConfig
from tests.fuzz import driver
from tests.unit.protocol import random_streams, reference_decoder

LIMIT = 1 << 20
PROFILE = deflate.Profile("shared")
IMPLEMENTATIONS = [codec.select("python"), codec.select("")]


def use(implementation: codec.Implementation) -> None:
    """Put one implementation of the codec in use for the whole package."""
    for name in ("parse", "continuations", "close_payload", "join", "unmask", "Filler"):
        setattr(codec, name, getattr(implementation, name))


def fuzz_frames(data: bytes) -> None:
    """Run one input."""
    source = random_streams.Input(data)
    ways = source.randrange(256)
    is_buffered, is_compressed = bool(ways & 1), bool(ways & 2)
    use(IMPLEMENTATIONS[ways >> 2 & 1])
    cuts = random_streams.cuts(source)
    # Half of the inputs are the bytes of the client themselves.
    stream = source.data[source.at :] if ways & 8 else random_streams.stream(source, is_compressed)
    agreed = deflate.negotiate("permessage-deflate", PROFILE) if is_compressed else None
    session = Session(
        SessionConfig(buffer_message=is_buffered, max_message_size=LIMIT),
        agreed[1] if agreed else None,
    )
    alone = reference_decoder.ReferenceDecoder(is_compressed)
    theirs = alone.decode(stream)
    ours = reference_decoder.decode(session, stream, cuts)
    if ours.code == 1009 and ours.is_violation:
        assert ours.frames == theirs.frames[: len(ours.frames)]
    else:
        assert reference_decoder.agree(ours, theirs, alone, is_buffered), (
            ours,
            theirs,
            stream,
            cuts,
        )
    assert codec.join(session.replies).count(b"\x88") >= (ours.code is not None)


if __name__ == "__main__":
    driver.main(fuzz_frames)
