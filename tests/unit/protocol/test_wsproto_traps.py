"""What wsproto 1.3.2 does with data and closes that we must not pass on, trap by trap.

The traps of its opening handshake are in test_handshake_traps.
"""

import gc
import tracemalloc
import zlib

import pytest
from wsproto.connection import Connection

from shardws.protocol import codec, deflate
from shardws.protocol.handshake import HandshakeConfig, HandshakeReader
from shardws.protocol.session import Session, SessionConfig, State
from tests.unit.protocol.client_frames import close, feed_session, frame

PLAIN = b"hello hello hello"


def pack(plain: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(plain) + packer.flush(flush)
    return packed[:-4] if flush == zlib.Z_SYNC_FLUSH else packed + b"\x00"


def compressed_session(config: SessionConfig) -> Session:
    found = deflate.negotiate("permessage-deflate", deflate.Profile("shared"))
    assert found is not None
    return Session(config, found[1])


@pytest.mark.parametrize("is_fragmented", [False, True])
def test_no_bound_on_inflating(implementation: codec.Implementation, is_fragmented: bool) -> None:
    """Trap: 65 KB on the wire became one message of 64 MiB."""
    bomb = pack(bytes(64 << 20))
    data = frame(0x42, bomb) + frame(0x80) if is_fragmented else frame(0xC2, bomb)
    for size in (0, 16384):
        tried = compressed_session(SessionConfig(buffer_message=True))
        tracemalloc.start()
        feed_session(tried, data, size)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert tried.ending is not None
        assert tried.ending.code == 1009
        assert peak < 5 << 20


@pytest.mark.parametrize(
    "parameter",
    [
        "unknown",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover=1",
        "client_max_window_bits=abc",
        "server_max_window_bits",
    ],
)
def test_offers_that_must_be_declined(parameter: str) -> None:
    """Trap: it accepts unknown, repeated and wrongly valued parameters, or raises ValueError."""
    offer = f"permessage-deflate; {parameter}"
    assert deflate.negotiate(offer, deflate.Profile("shared")) is None


def test_a_quoted_value() -> None:
    """Trap: ValueError for client_max_window_bits="10"."""
    offer = 'permessage-deflate; client_max_window_bits="10"'
    assert deflate.negotiate(offer, deflate.Profile("dedicated")) is not None


def test_deflate_state_of_an_idle_connection() -> None:
    """Trap: 142 KiB for each connection that once used compression."""
    sessions = [compressed_session(SessionConfig()) for _ in range(50)]
    stream = frame(0xC1, pack(PLAIN)) + frame(0x41, pack(PLAIN)) + frame(0x80)
    gc.collect()
    before = traced(lambda: None)
    grown = traced(lambda: [feed_session(tried, stream) for tried in sessions].clear())
    assert grown - before < 50 * 400
    assert all(tried.rest == b"" for tried in sessions)


def traced(action: object) -> int:
    """Bytes that are still allocated behind the action."""
    assert callable(action)
    tracemalloc.start()
    try:
        action()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_ping_between_compressed_fragments(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    """Trap: a control frame makes it forget that the message is compressed."""
    packed = pack(PLAIN)
    for control in (frame(0x89, b"p"), frame(0x8A), frame(0x89) * 3):
        for size in (0, 1):
            tried = compressed_session(config)
            data = frame(0x41, packed[:5]) + control + frame(0, packed[5:9]) + control
            heard = feed_session(tried, data + frame(0x80, packed[9:]), size)
            assert heard.messages[-1] == (1, PLAIN)
            assert tried.ending is None


def test_a_final_block(implementation: codec.Implementation, config: SessionConfig) -> None:
    """Trap: behind a block with BFINAL its inflater returns nothing any more."""
    for profile in ("shared", "dedicated"):
        found = deflate.negotiate("permessage-deflate", deflate.Profile(profile))
        assert found is not None
        tried = Session(config, found[1])
        for size in (0, 1):
            data = frame(0xC1, pack(PLAIN, zlib.Z_FINISH)) + frame(0xC1, pack(PLAIN))
            assert feed_session(tried, data, size).messages == [(1, PLAIN)] * 2


def test_after_a_violation_nothing_is_buffered(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    """Trap: its state stays OPEN and `receive_data` goes on filling its buffer without bound."""
    tried = Session(config)
    feed_session(tried, frame(1, b"a") + frame(0x81, b"b"))
    assert tried.state is State.CLOSED
    flood = bytes(1 << 16)
    grown = traced(lambda: [tried.receive(flood) for _ in range(100)].clear())
    assert grown < 4096


@pytest.mark.parametrize("size", [0, 1])
def test_a_ping_after_our_close(
    implementation: codec.Implementation, config: SessionConfig, size: int
) -> None:
    """Trap: LocalProtocolError, though RFC 6455 5.5.2 wants the pong."""
    tried = Session(config)
    tried.close(1000)
    heard = feed_session(tried, frame(0x89, b"still there?"), size)
    assert heard.replies == [(0x88, b"\x03\xe8"), (0x8A, b"still there?")]


@pytest.mark.parametrize("size", [0, 1])
def test_data_after_a_close(
    implementation: codec.Implementation, config: SessionConfig, size: int
) -> None:
    """Trap: data behind the closing handshake raises LocalProtocolError."""
    tried = Session(config)
    tried.close(1000)
    data = frame(0x81, b"late") + frame(1, b"l") + frame(0x80, b"ate") + close(1000)
    assert feed_session(tried, data + frame(0x81, b"later") + b"\xff" * 99, size).items == [
        (8, b"", True)
    ]
    assert tried.receive(b"\xff" * 99) == []


@pytest.mark.parametrize("size", [0, 1])
def test_close_code_1014(
    implementation: codec.Implementation, config: SessionConfig, size: int
) -> None:
    """Trap: "CLOSE with unknown reserved code", though IANA registered it."""
    tried = Session(config)
    assert feed_session(tried, close(1014, "bad gateway"), size).replies == [(0x88, b"\x03\xf6")]
    assert tried.ending is not None
    assert (tried.ending.code, tried.ending.reason) == (1014, "bad gateway")
    assert tried.ending.is_clean
    tried = Session(config)
    tried.close(1014)
    assert tried.replies == [(0x88, b"\x03\xf6")]


def test_frames_in_one_segment_with_the_request(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    """Trap: they are lost. Here they are the reader's rest, and go to the session."""
    request = (
        b"GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    frames = frame(0x81, b"early") + frame(0x89, b"p") + frame(1, b"frag")[:-2]
    reader = HandshakeReader(HandshakeConfig())
    assert reader.receive(request + frames) is not None
    tried = Session(config)
    heard = feed_session(tried, reader.rest)
    assert heard.items[:2] == [(1, b"early", True), (9, b"p", True)]
    assert tried.rest is None  # in the middle of the fragment


def test_its_state_is_dropped_at_rest(implementation: codec.Implementation) -> None:
    """Trap: it takes 5 KiB for each connection."""

    def states() -> int:
        gc.collect()
        return sum(isinstance(found, Connection) for found in gc.get_objects())

    before = states()
    sessions = [compressed_session(SessionConfig()) for _ in range(20)]
    packed = pack(PLAIN)
    for tried in sessions:
        feed_session(tried, frame(0x41, packed[:5]))
    assert states() == before + 20
    for tried in sessions:
        feed_session(tried, frame(0x80, packed[5:]))
    assert states() == before
