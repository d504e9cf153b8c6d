"""PROXY protocol 1 and 2: headers as tables, each whole, byte by byte and with bytes behind."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.errors import ProxyError, StateError
from shardws.protocol.proxy import (
    MAX_BLOCK,
    MAX_LINE,
    SAYS_NOTHING,
    SIGNATURE,
    ProxyHeader,
    ProxyReader,
)

BEHIND = b"GET / HTTP/1.1\r\n"


def block(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return (
        SIGNATURE
        + struct.pack(">BBH", command, family, len(body) if length is None else length)
        + body
    )


V4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack(">HH", 1111, 9001)
V6 = bytes.fromhex("20010db8" + "0" * 23 + "1") + bytes(15) + b"\x01" + struct.pack(">HH", 65535, 0)
FROM_V4 = ProxyHeader(("192.0.2.1", 1111), ("198.51.100.2", 9001))
FROM_V6 = ProxyHeader(("2001:db8::1", 65535), ("::1", 0))
LONGEST = (
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".ljust(MAX_LINE - 2, b"x") + b"\r\n"
)

GOOD: list[tuple[str, bytes, ProxyHeader]] = [
    ("v1", b"PROXY TCP4 192.0.2.1 198.51.100.2 1111 9001\r\n", FROM_V4),
    ("v1", b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", FROM_V6),
    ("v1", b"PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 65535 0\r\n", FROM_V6),
    ("v1", b"PROXY UNKNOWN\r\n", SAYS_NOTHING),
    ("v1", b"PROXY UNKNOWN \xff whatever it says\r\n", SAYS_NOTHING),
    ("v1", LONGEST, SAYS_NOTHING),
    ("v2", block(0x21, 0x11, V4), FROM_V4),
    ("v2", block(0x21, 0x21, V6), FROM_V6),
    ("v2", block(0x21, 0x11, V4 + b"\x04\x00\x05extra"), FROM_V4),
    ("v2", block(0x21, 0x11, V4.ljust(MAX_BLOCK - 16, b"\x00")), FROM_V4),
    ("v2", block(0x20, 0x00, b""), SAYS_NOTHING),
    ("v2", block(0x20, 0x11, V4), SAYS_NOTHING),
    ("v2", block(0x20, 0xFF, b"abc"), SAYS_NOTHING),
    ("v2", block(0x21, 0x00, b"abc"), SAYS_NOTHING),
    ("v2", block(0x21, 0x31, bytes(216)), SAYS_NOTHING),
]


@pytest.mark.parametrize(("version", "data", "header"), GOOD)
def test_good_headers(version: str, data: bytes, header: ProxyHeader) -> None:
    for accepted in (version, "any"):
        reader = ProxyReader(accepted)
        assert reader.receive(data + BEHIND) == header
        assert reader.rest == BEHIND
        reader = ProxyReader(accepted)
        for at in range(len(data) - 1):
            assert reader.receive(data[at : at + 1]) is None
        assert reader.receive(data[-1:]) == header
        assert reader.rest == b""


@pytest.mark.parametrize(("version", "data"), [(version, data) for version, data, _ in GOOD])
def test_only_the_version_that_is_set_is_read(version: str, data: bytes) -> None:
    with pytest.raises(ProxyError, match="no PROXY header"):
        ProxyReader("v2" if version == "v1" else "v1").receive(data)


BAD = [
    (b"GET / HTTP/1.1\r\n", 1),
    (b"PROXY\r\n", 6),
    (b"PROXY\tTCP4 ", 6),
    (b"proxy TCP4 ", 1),
    (b"\r\n\r\n\x00\r\nQUIX\n", 11),
    (b"PROXY \r\n", 8),
    (b"PROXY TCP4\r\n", 12),
    (b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", 36),
    (b"PROXY UNKNOWNS\r\n", 16),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", 34),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", 38),
    (b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", 37),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", 37),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", 37),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", 40),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n", 37),
    (b"PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n", 38),
    (b"PROXY TCP4 192.0.02.1 192.0.2.2 1 2\r\n", 37),
    (b"PROXY TCP4 ::1 ::1 1 2\r\n", 24),
    (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", 36),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n" + b"x" * MAX_LINE, MAX_LINE),
    (b"PROXY UNKNOWN".ljust(MAX_LINE - 1, b"x") + b"\r\n", MAX_LINE),
    (block(0x22, 0x11, V4), 16),
    (block(0x11, 0x11, V4), 16),
    (block(0x21, 0x12, V4), 16),
    (block(0x21, 0x41, V4), 16),
    (block(0x21, 0x11, V4[:-1]), 27),
    (block(0x21, 0x21, V6[:-1]), 51),
    (block(0x21, 0x11, V4, MAX_BLOCK - 15), 16),
    (block(0x20, 0x00, b"", 65535), 16),
]


@pytest.mark.parametrize(("data", "needed"), BAD)
def test_bad_headers_are_refused_at_their_first_bad_byte(data: bytes, needed: int) -> None:
    reader = ProxyReader()
    for at in range(needed - 1):
        assert reader.receive(data[at : at + 1]) is None
    with pytest.raises(ProxyError):
        reader.receive(data[needed - 1 : needed])
    with pytest.raises(ProxyError):
        ProxyReader().receive(data + BEHIND)


def test_a_reader_reads_one_header() -> None:
    reader = ProxyReader("v1")
    assert reader.receive(b"PROXY UNKNOWN\r\n") == SAYS_NOTHING
    with pytest.raises(StateError):
        reader.receive(b"x")


def test_nothing_is_no_error() -> None:
    assert ProxyReader().receive(b"") is None


STARTS = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"])


@given(STARTS, st.binary(max_size=700), st.integers(0, 700))
def test_any_bytes_give_the_same_answer_in_two_pieces(start: bytes, tail: bytes, cut: int) -> None:
    """Nothing but None, a header or a ProxyError; and never more than MAX_BLOCK bytes kept."""
    data = start + tail

    def answer(*pieces: bytes) -> object:
        reader = ProxyReader()
        header = None
        try:
            for piece in pieces:
                header = header or reader.receive(piece)
        except ProxyError as error:
            return error.description
        assert len(reader._buffer) <= MAX_BLOCK
        return header

    assert answer(data) == answer(data[:cut], data[cut:])
