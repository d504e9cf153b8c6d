"""Tables of cases: each input whole, byte by byte, in odd pieces, and with something behind it."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.errors import WireError
from shardws.wire import messages as m
from shardws.wire.codec import DELIVER_FIXED, Decoder, Layout, encode, pack_deliver

LIMIT = 4096
ANYONE = m.SHARD | m.SUPERVISOR | m.ADMIN
ID = (1 << 53) - 1

VALID: list[tuple[Any, ...]] = [
    (m.HELLO, m.VERSION, 1023, 256, 255, 4_194_304, "0123456789abcdef"),
    (m.HELLO, m.VERSION, 0, 0, 0, 0, ""),
    (m.GOODBYE,),
    (m.START, 1 << 63),
    (m.DELIVER, ID, 1, "grüße".encode()),
    (m.DELIVER, 1, 2, b""),
    (m.DELIVER_FORMATTED, ID, "grüße".encode()),
    (m.DELIVER, 1, 9, b"\x00" * 125),
    (m.DELIVER, 1, 10, bytes(LIMIT - DELIVER_FIXED)),
    (m.CLOSE, ID, 1000, "über"),
    (m.CLOSE, ID, 4999, ""),
    (m.GROUP_JOIN, ID, "room"),
    (m.GROUP_LEAVE, ID, "数"),
    (m.PUBLISH, 1, "room", b"payload"),
    (m.PUBLISH, 2, "", b""),
    (m.BROADCAST, 2, b"\xff"),
    (m.INTEREST, True, "room"),
    (m.INTEREST, False, "room"),
    (m.NEWS_TOLD,),
    (m.RESULT, 7, ID, 3),
    (m.SYNC, 0),
    (m.SYNCED, (1 << 64) - 1),
    (m.READY_TO_SEND, ID),
    (m.QUERY, 1, ID, "remote_host"),
    (m.STREAM, 1, 7, 0, m.STREAM_FIRST, b"abc"),
    (m.STREAM, 2**64 - 1, 2**53 - 1, 2, m.STREAM_LAST, b""),
    (m.STREAM_CREDIT, 1, 65536),
    (m.STREAM_END, 1, 0),
    (m.REPLY, 1, True, b"{}"),
    (m.REPLY, 1, False, b""),
    (m.SWITCH, 0x100, 0x101),
    (m.DRAINED, 0x200, 0x100),
    (m.CONFIRMED, ID),
    (m.RELAYED_PUBLISH, 1, "room", b"payload"),
    (m.RELAYED_BROADCAST, 2, b""),
    (m.READY, 9001),
    (m.FAILED, "no module named 'x'\nline two"),
    (m.NOT_IMPORTED, "app:server cannot be imported"),
    (m.MOVED, b'{"moved": 3}'),
    (m.SWITCHED,),
    (m.KEEPER, 4_194_304),
    (m.LEAVING,),
    (m.SHUTDOWN,),
    (m.PEERS, []),
    (m.PEERS, [m.Peer(0, 0, 1), m.Peer(511, 255, 4_194_304, (1, 0x4010203))]),
    (m.DRAIN, 1, 1000, 30_000),
    (m.DRAIN, 2, 0, 0),
    (m.TAKEOVER, 3, 255, 4_194_304, 10_000, "reload"),
    (m.STOP, True),
    (m.LOST_CONNECTIONS, bytes(16)),
]


def decoder(limit: int = LIMIT, sender: int = ANYONE) -> Decoder:
    return Decoder(limit, sender)


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack("<IB", len(body), kind) + body


@pytest.mark.parametrize("message", VALID, ids=str)
def test_whole(message: tuple[Any, ...]) -> None:
    assert decoder().feed(encode(*message)) == [message]


@pytest.mark.parametrize("message", VALID, ids=str)
def test_byte_by_byte(message: tuple[Any, ...]) -> None:
    data = encode(*message)
    reader = decoder()
    for at in range(len(data) - 1):
        assert reader.feed(data[at : at + 1]) == []
        assert reader.pending == at + 1
    assert reader.feed(data[-1:]) == [message]
    assert reader.pending == 0


@pytest.mark.parametrize("message", VALID, ids=str)
@pytest.mark.parametrize("tail", [1, 4, 5, 13, 20])
def test_with_a_part_of_the_next_behind_it(message: tuple[Any, ...], tail: int) -> None:
    following = (m.DELIVER, 77, 2, b"0123456789")
    data, behind = encode(*message), encode(*following)
    reader = decoder()
    assert reader.feed(data + behind[:tail]) == [message]
    assert reader.pending == tail
    assert reader.feed(behind[tail:]) == [following]


def test_every_message_of_the_table_has_a_case() -> None:
    assert {message[0] for message in VALID} == set(m.BY_NUMBER)


@given(st.lists(st.integers(1, 200), max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    data = b"".join([encode(*message) for message in VALID])
    reader = decoder()
    got = []
    position = 0
    for cut in cuts:
        got += reader.feed(data[position : position + cut])
        position += cut
    assert got + reader.feed(data[position:]) == VALID


INVALID = {
    "empty frame of kind 0": frame(0, b""),
    "unknown kind": frame(200, b"abc"),
    "longer than the limit": struct.pack("<IB", LIMIT + 1, m.DELIVER),
    "longest possible": b"\xff" * 5,
    "DELIVER without format": frame(m.DELIVER, bytes(8)),
    "DELIVER of a close frame": frame(m.DELIVER, struct.pack("<QB", 1, 8)),
    "DELIVER above the limit": struct.pack("<IBQB", LIMIT + 1, m.DELIVER, 1, 1) + b"x" * LIMIT,
    "PUBLISH of a continuation": frame(m.PUBLISH, struct.pack("<BI", 0, 0)),
    "START too short": frame(m.START, bytes(7)),
    "START too long": frame(m.START, bytes(9)),
    "GOODBYE with something": frame(m.GOODBYE, b"x"),
    "text longer than the frame": frame(m.FAILED, struct.pack("<I", 3) + b"ab"),
    "text of nearly no end": frame(m.FAILED, struct.pack("<I", 0xFFFFFFFF) + b"ab"),
    "text shorter than the frame": frame(m.FAILED, struct.pack("<I", 1) + b"ab"),
    "text that is no UTF-8": frame(m.FAILED, struct.pack("<I", 2) + b"\xc3\x28"),
    "surrogate": frame(m.FAILED, struct.pack("<I", 3) + b"\xed\xa0\x80"),
    "flag of 2": frame(m.STOP, b"\x02"),
    "DRAIN for no reason": frame(m.DRAIN, struct.pack("<BII", 0, 1, 1)),
    "DRAIN for a reason of a later version": frame(m.DRAIN, struct.pack("<BII", 255, 1, 1)),
    "outcome of 6": frame(m.RESULT, struct.pack("<QQB", 1, 1, 6)),
    "PEERS and a half": frame(m.PEERS, bytes(15)),
    "PEERS without an incarnation it counts": frame(m.PEERS, bytes(8) + b"\x01\x00" + bytes(3)),
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_invalid(data: bytes) -> None:
    with pytest.raises(WireError):
        decoder().feed(data)


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_invalid_byte_by_byte_and_final(data: bytes) -> None:
    reader = decoder()

    def feed_bytes() -> None:
        for at in range(len(data)):
            assert reader.feed(data[at : at + 1]) == []

    with pytest.raises(WireError):
        feed_bytes()
    with pytest.raises(WireError, match="before"):
        reader.feed(encode(m.GOODBYE))


@pytest.mark.parametrize("body", [b"\x63\x00", b"\x63\x00 all is different here", b""])
def test_other_version_is_named(body: bytes) -> None:
    version = int.from_bytes(body[:2], "little")
    with pytest.raises(
        WireError, match=f"speaks wire version {version}, this is version {m.VERSION}"
    ):
        decoder().feed(frame(m.HELLO, body))


def test_limit_is_known_at_the_header() -> None:
    """A frame above the limit is refused before a byte of it is kept."""
    reader = decoder(100)
    with pytest.raises(WireError, match="101 bytes is above the limit of 100"):
        reader.feed(struct.pack("<IB", 101, m.BROADCAST))


@pytest.mark.parametrize(
    ("sender", "message"),
    [
        (m.SHARD, (m.STOP, True)),
        (m.SHARD, (m.PEERS, [])),
        (m.SUPERVISOR, (m.DELIVER, 1, 1, b"x" * 40)),
        (m.ADMIN, (m.READY, 1)),
    ],
)
def test_wrong_sender(sender: int, message: tuple[Any, ...]) -> None:
    with pytest.raises(WireError, match=f"{m.BY_NUMBER[message[0]].name} from a wrong sender"):
        decoder(sender=sender).feed(encode(*message))


UNENCODABLE: dict[str, tuple[Any, ...]] = {
    "unknown kind": (200,),
    "too few fields": (m.STOP,),
    "too many fields": (m.GOODBYE, 1),
    "number out of range": (m.READY, 65536),
    "negative": (m.SYNC, -1),
    "no number": (m.SYNC, "1"),
    "no text": (m.FAILED, b"x"),
    "surrogate": (m.FAILED, "\ud800"),
    "no payload": (m.BROADCAST, 1, None),
    "format": (m.DELIVER, 1, 8, b""),
    "peers": (m.PEERS, [(1, 2)]),
}


@pytest.mark.parametrize("message", UNENCODABLE.values(), ids=UNENCODABLE)
def test_our_own_fault_is_a_value_error(message: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        encode(*message)


def test_fast_head_is_the_table_form() -> None:
    payload = b"payload"
    head = pack_deliver(len(payload) + DELIVER_FIXED, m.DELIVER, ID, 2)
    assert head + payload == encode(m.DELIVER, ID, 2, payload)


def test_large_frame_in_small_pieces_is_linear() -> None:
    """8 MiB in 1,000-byte pieces: an incomplete frame is only appended to."""
    payload = bytes(8 << 20)
    data = encode(m.DELIVER, 1, 2, payload)
    reader = Decoder(16 << 20, m.SHARD)
    got: list[tuple[Any, ...]] = []
    for at in range(0, len(data), 1000):
        got += reader.feed(data[at : at + 1000])
    assert [len(message[3]) for message in got] == [len(payload)]


def test_layout_refuses_a_row_in_another_order() -> None:
    row = m.Message(99, "ODD", (("group", "text"), ("code", "u16")), m.SHARD, "")
    with pytest.raises(ValueError, match="ODD: numbers first"):
        Layout(row)
