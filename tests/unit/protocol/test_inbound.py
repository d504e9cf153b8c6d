"""Who gets which frame, what is held, and compressed messages through a session."""

import zlib
from typing import NoReturn

import pytest

from shardws.errors import ProtocolError
from shardws.protocol import codec, deflate
from shardws.protocol.deflate import Deflate
from shardws.protocol.frames import Item
from shardws.protocol.inbound import Inbound
from shardws.protocol.session import Session, SessionConfig, State
from shardws.protocol.slices import ITEMS, Slice
from shardws.protocol.wsproto_fallback import WsprotoFallback
from tests.unit.protocol.client_frames import chunks_of, close, feed_session, frame, join_fragments
from tests.unit.protocol.stream_cases import CASES, LIMIT, VIOLATIONS, Case

TEXT = "grüße aus Köln; ".encode() * 20
BEHIND = frame(0x81, b"behind")


def pack(plain: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def agreed(profile: str = "shared") -> Deflate:
    found = deflate.negotiate("permessage-deflate", deflate.Profile(profile))
    assert found is not None
    return found[1]


PACKED = pack(TEXT)
HALF = len(PACKED) // 2

COMPRESSED = [
    Case("one frame", frame(0xC1, PACKED), [(1, TEXT)]),
    Case("binary", frame(0xC2, pack(b"\xff" * 300)), [(2, b"\xff" * 300)]),
    Case("two in a row", frame(0xC1, PACKED) + frame(0xC2, PACKED), [(1, TEXT), (2, TEXT)]),
    Case("plain and packed", frame(0x81, b"a") + frame(0xC1, PACKED), [(1, b"a"), (1, TEXT)]),
    Case("fragments", frame(0x41, PACKED[:HALF]) + frame(0x80, PACKED[HALF:]), [(1, TEXT)]),
    Case(
        "many fragments",
        frame(0x42, PACKED[:1])
        + b"".join(frame(0, PACKED[at : at + 1]) for at in range(1, len(PACKED)))
        + frame(0x80),
        [(2, TEXT)],
    ),
    Case(
        "control frames between fragments",
        frame(0x41, PACKED[:HALF]) + frame(0x89, b"p") + frame(0x8A) + frame(0x80, PACKED[HALF:]),
        [(9, b"p"), (10, b""), (1, TEXT)],
        pongs=(b"p",),
    ),
    Case("close between fragments", frame(0x41, PACKED[:HALF]) + close(1000), [(8, b"")], 1000),
    Case("plain fragments", frame(1, b"a") + frame(0x80, b"b"), [(1, b"ab")]),
    Case("an empty message", frame(0xC1, b"\x00"), [(1, b"")]),
    Case("an empty message without a byte", frame(0xC1), [(1, b"")]),
    Case("empty fragments", frame(0x41) + frame(0x00) + frame(0x80), [(1, b"")]),
    Case(
        "a final block, then another message",
        frame(0xC1, bytes.fromhex("f348cdc9c9070000")) + frame(0xC1, PACKED),
        [(1, b"Hello"), (1, TEXT)],
    ),
    Case(
        "a final block in fragments",
        frame(0x41, bytes.fromhex("f348cdc9")) + frame(0x80, bytes.fromhex("c9070000")),
        [(1, b"Hello")],
    ),
    Case("corrupt data", frame(0xC1, b"\xff\xff"), [(8, b"")], 1007),
    Case(
        "corrupt data in fragments", frame(0x41, b"\xff") + frame(0x80, b"\xff"), [(8, b"")], 1007
    ),
    Case("data that stops in a block", frame(0xC2, PACKED[:HALF]), [(8, b"")], 1007),
    Case("text that is none", frame(0xC1, pack(b"\xff")), [(8, b"")], 1007),
    Case("text that ends in a character", frame(0xC1, pack(TEXT + b"\xc3")), [(8, b"")], 1007),
    Case("the limit", frame(0xC2, pack(bytes(LIMIT))), [(2, bytes(LIMIT))]),
    Case("above the limit", frame(0xC2, pack(bytes(LIMIT + 1))), [(8, b"")], 1009),
    Case(
        "above the limit in fragments",
        frame(0x42, pack(bytes(5000))[:9]) + frame(0x80, pack(bytes(5000))[9:]),
        [(8, b"")],
        1009,
    ),
    Case("more packed than the limit", frame(0xC2, b"\x03\x00" * 600), [(2, b"")]),
    Case("RSV1 on a ping", frame(0xC9), [(8, b"")], 1002),
    Case("RSV1 on a close", frame(0xC8), [(8, b"")], 1002),
    Case("RSV1 on a continuation", frame(0x41, b"\x00") + frame(0xC0), [(8, b"")], 1002),
    Case("RSV1 on a continuation of nothing", frame(0xC0), [(8, b"")], 1002),
    Case("RSV2", frame(0xE1, PACKED), [(8, b"")], 1002),
    Case("packed inside a message", frame(1, b"a") + frame(0xC1, PACKED), [(8, b"")], 1002),
]


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("case", COMPRESSED, ids=lambda case: case.name)
def test_compressed_streams(
    implementation: codec.Implementation, config: SessionConfig, case: Case, size: int
) -> None:
    tried = Session(config, agreed())
    heard = feed_session(tried, case.data + BEHIND, size)
    told = case.messages + ([(1, b"behind")] if case.code is None else [])
    assert [item for item in heard.messages if item[0] >= 8 or item in told] == told
    assert [first for first, _ in heard.replies] == [0x8A] * len(case.pongs) + (
        [0x88] if case.code else []
    )
    ending = tried.ending
    assert (ending and ending.code) == case.code


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain_streams_are_the_same_with_the_extension(
    implementation: codec.Implementation, config: SessionConfig, case: Case, size: int
) -> None:
    heard = feed_session(Session(config, agreed()), case.data, size)
    assert heard.messages == case.messages


# RSV1 means something with the extension: the table above has it.
STILL_VIOLATIONS = [row for row in VIOLATIONS if row[1][0] & 0xF0 not in (0xC0, 0x40)]


@pytest.mark.parametrize(
    ("name", "data", "code"), STILL_VIOLATIONS, ids=[row[0] for row in STILL_VIOLATIONS]
)
def test_violations_are_the_same_with_the_extension(
    implementation: codec.Implementation, config: SessionConfig, name: str, data: bytes, code: int
) -> None:
    tried = Session(config, agreed())
    assert feed_session(tried, data).messages == [(8, b"")]
    assert tried.ending is not None
    assert tried.ending.code == code


@pytest.mark.parametrize("size", [0, 1])
def test_a_client_that_keeps_its_window(
    implementation: codec.Implementation, config: SessionConfig, size: int
) -> None:
    """Dedicated: whole frames, split ones and fragments go through one inflater, in order."""
    tried = Session(config, agreed("dedicated"))
    packer = zlib.compressobj(wbits=-12)
    stream = b""
    for turn in range(6):
        packed = (packer.compress(TEXT) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        cut = len(packed) // 2
        if turn % 2:
            stream += frame(0x41, packed[:cut]) + frame(0x89) + frame(0x80, packed[cut:])
        else:
            stream += frame(0xC1, packed)
    heard = feed_session(tried, stream, size)
    assert [item for item in heard.messages if item[0] == 1] == [(1, TEXT)] * 6
    assert tried.rest is None  # its window cannot be handed over


def test_messages_go_out_compressed_from_a_size_on(implementation: codec.Implementation) -> None:
    tried = Session(SessionConfig(deflate_min_size=100, max_frame_size=20), agreed())
    assert not tried.is_plain
    assert tried.frames_of(1, b"a" * 19) == [(0x81, b"a" * 19)]
    frames = tried.frames_of(1, TEXT)
    assert [first for first, _ in frames] == [0x41, *[0] * (len(frames) - 2), 0x80]
    assert (
        zlib.decompress(b"".join(part for _, part in frames) + deflate.TAIL + deflate.END, -15)
        == TEXT
    )
    noise = bytes(range(200))
    assert tried.frames_of(2, noise)[0] == (0x02, noise[:20])
    assert tried.frames_of(9, b"p" * 120) == [(0x89, b"p" * 120)]


def test_a_message_in_parts_goes_out_as_it_is() -> None:
    tried = Session(SessionConfig(deflate_min_size=0), agreed())
    assert tried.frames_of(1, TEXT, True, False) == [(0x01, TEXT)]
    assert tried.frames_of(1, TEXT, False, True) == [(0x80, TEXT)]


def feed(inbound: Inbound, data: bytes, items: list[Item]) -> None:
    part = Slice(ITEMS)
    inbound.receive(data, 0, part)
    items += part.items


# -- what is held ---------------------------------------------------------------------------------


def test_the_authority_lives_for_one_message(implementation: codec.Implementation) -> None:
    inbound, items = Inbound(SessionConfig(), agreed()), list[Item]()
    seen = []
    half, rest = frame(0x41, PACKED[:HALF]), frame(0x80, PACKED[HALF:])
    for data in (frame(0x81), half, frame(0x89), rest, frame(0x81)):
        feed(inbound, data, items)
        seen.append((inbound._fallback is not None, inbound.is_at_rest))
    busy, at_rest = (True, False), (False, True)
    assert seen == [at_rest, busy, busy, at_rest, at_rest]


def test_a_flood_of_compressed_fragments_is_few_frames_to_the_authority(
    implementation: codec.Implementation, config: SessionConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, fed = WsprotoFallback.feed, []

    def counted(self: WsprotoFallback, data: bytes) -> list[Item]:
        fed.append(data)
        return feed(self, data)

    monkeypatch.setattr(WsprotoFallback, "feed", counted)
    tiny = [frame(0, PACKED[at : at + 1]) for at in range(1, len(PACKED))]
    stream = frame(0x41, PACKED[:1]) + b"".join(tiny[:20]) + frame(0x89) + b"".join(tiny[20:])
    heard = feed_session(Session(config, agreed()), stream + frame(0) + frame(0x80) + BEHIND)
    assert heard.messages == [(9, b""), (1, TEXT), (1, b"behind")]
    assert len(fed) == 3


def test_ordinary_frames_and_pings_make_no_authority(implementation: codec.Implementation) -> None:
    inbound, items = Inbound(SessionConfig(), agreed()), list[Item]()
    for piece in (frame(0x89), frame(0x81, b"abc")[:-1], b"x", frame(0xC1, PACKED), frame(0x8A)):
        feed(inbound, piece, items)
        assert inbound._fallback is None


def test_plain_fragments_make_no_authority(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    stream = frame(1, b"a") + frame(0x89) + frame(0, b"b" * 200) * 3 + frame(0) + frame(0x80, b"c")
    for size in (0, 1, 3):
        inbound, items = Inbound(config, agreed()), list[Item]()
        for piece in chunks_of(stream, size):
            feed(inbound, piece, items)
            assert inbound._fallback is None
        assert join_fragments(items) == [(9, b""), (1, b"a" + b"b" * 600 + b"c")]
        assert inbound.is_at_rest


def test_what_waits_is_bounded(implementation: codec.Implementation) -> None:
    """A header or a control frame in progress: at most 131 bytes."""
    for data in (
        frame(0x89, b"p" * 125),
        frame(0x88, b"\x03\xe8" + b"r" * 123),
        b"\x82\xff" + b"\0" * 8,
    ):
        inbound, items = Inbound(SessionConfig(), None), list[Item]()
        for byte in data[:-1]:
            feed(inbound, bytes((byte,)), items)
            assert len(inbound.tail) <= 131
        assert items == []


def test_a_frame_that_never_ends_is_not_held_in_pieces(
    implementation: codec.Implementation,
) -> None:
    """Without BufferMessage nothing stays behind: the pieces are the application's."""
    tried = Session(SessionConfig(max_message_size=1 << 40))
    feed_session(tried, b"\x82\xff" + (1 << 40).to_bytes(8) + b"keyy")
    for _ in range(100):
        assert tried.receive(bytes(1000)) == [(2, b"keyy" * 250, False)]


def test_a_header_that_only_we_find_broken_ends_the_session_all_the_same(
    implementation: codec.Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a later wsproto accept it, nothing may be read with a wrong idea of its end."""
    monkeypatch.setattr(WsprotoFallback, "feed", lambda self, data: [])
    tried = Session(SessionConfig())
    assert tried.receive(frame(0x83, b"a")) == [(8, b"", True)]
    assert tried.ending is not None
    assert tried.ending.code == 1002


def test_an_error_of_ours_is_no_verdict_on_the_peer(
    implementation: codec.Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: WsprotoFallback, data: bytes) -> NoReturn:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(WsprotoFallback, "feed", broken)
    with pytest.raises(RuntimeError):
        Session(SessionConfig()).receive(frame(0x83))


def test_an_inbound_raises_with_the_items_in_front(implementation: codec.Implementation) -> None:
    inbound, items = Inbound(SessionConfig(), None), list[Item]()
    with pytest.raises(ProtocolError):
        inbound.receive(frame(0x81, b"a") + frame(0x89) + b"\x81\x00", 0, Slice(ITEMS, items))
    assert items == [(1, b"a", True), (9, b"", True)]


def test_a_session_reads_on_where_it_was_cut(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    """Every place of one long stream with all kinds of frames, in two reads."""
    stream = (
        frame(0x81, b"a" * 130)
        + frame(0x41, PACKED[:HALF])
        + frame(0x89, b"p")
        + frame(0x80, PACKED[HALF:])
        + frame(0x02, b"xy")
        + frame(0x80, b"z")
        + close(1000, "bye")
    )
    told = feed_session(Session(config, agreed()), stream).messages
    for cut in range(len(stream)):
        tried = Session(config, agreed())
        first, second = feed_session(tried, stream[:cut]), feed_session(tried, stream[cut:])
        first.items += second.items
        assert first.messages == told
        assert tried.state is State.CLOSED
