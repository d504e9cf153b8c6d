"""A read that is one close frame: what both implementations take, and that it ends as any other."""

import random

import pytest

from shardws.protocol import codec
from shardws.protocol.frames import Item
from shardws.protocol.session import Frame, Session, SessionConfig
from tests.unit.protocol.client_frames import frame
from tests.unit.protocol.conftest import IMPLEMENTATIONS

CLOSE = 0x88
PAYLOADS = [
    b"",
    b"\x03\xe8",
    b"\x03\xe8bye",
    b"\x0f\xa0" + "grüße".encode(),
    b"\x03\xe9" + b"a" * 123,
    b"\x03",  # one byte
    b"\x03\xee",  # 1006 may not be sent
    b"\x03\xe8\xff",  # not UTF-8
]
OTHERS = [
    b"",
    b"\x88",
    frame(CLOSE, b"\x03\xe8")[:-1],
    frame(CLOSE, b"\x03\xe8") + b"\x88",
    frame(0x08, b""),
    frame(0xC8, b""),
    frame(0x89, b""),
    frame(CLOSE, b"a" * 126),
    b"\x88\x02\x03\xe8",
    b"\x88\x02\0\0\0\0\x03\xe8",
    b"\x88\xfe\0\x02\0\0\0\0\x03\xe8",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_whole_close_frame(implementation: codec.Implementation, payload: bytes) -> None:
    assert implementation.close_payload(frame(CLOSE, payload)) == payload


@pytest.mark.parametrize("data", OTHERS)
def test_anything_else(implementation: codec.Implementation, data: bytes) -> None:
    assert implementation.close_payload(data) is None


def test_noise() -> None:
    source = random.Random(5)
    for _ in range(5000):
        size = source.randrange(12)
        data = bytes((CLOSE, 0x80 | source.randrange(8))) + source.randbytes(size)
        assert len({one.close_payload(data) for one in IMPLEMENTATIONS}) == 1


def follow(pieces: list[bytes]) -> tuple[list[Item], list[Frame], str]:
    session = Session(SessionConfig())
    items = [item for piece in pieces for item in session.receive(piece)]
    assert session.is_due
    assert session.ending is not None
    return items, session.replies, str(session.ending)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_it_ends_as_one_in_two_reads(implementation: codec.Implementation, payload: bytes) -> None:
    data = frame(CLOSE, payload)
    whole = follow([data])
    for at in range(1, len(data)):
        assert follow([data[:at], data[at:]]) == whole
