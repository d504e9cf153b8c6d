"""wsproto behind its adapter."""

import pytest

from shardws.errors import ProtocolError
from shardws.protocol import deflate
from shardws.protocol.deflate import Deflate
from shardws.protocol.frames import Item
from shardws.protocol.wsproto_fallback import Inflating, WsprotoFallback
from tests.unit.protocol.client_frames import chunks_of, close, frame

LIMIT = 1000
PLAIN = "grüße ".encode() * 20


def shared() -> Deflate:
    agreed = deflate.negotiate("permessage-deflate", deflate.Profile("shared"))
    assert agreed is not None
    return agreed[1]


def packed() -> bytes:
    found = shared().compress(PLAIN)
    assert found is not None
    return found


def feed(wsproto_fallback: WsprotoFallback, data: bytes, size: int) -> list[Item]:
    return [item for piece in chunks_of(data, size) for item in wsproto_fallback.feed(piece)]


@pytest.mark.parametrize("size", [0, 1])
def test_fragments(size: int) -> None:
    found = feed(WsprotoFallback(None, LIMIT), frame(1, b"a") + frame(0) + frame(0x80, b"b"), size)
    assert found == [(1, b"a", False), (1, b"", False), (1, b"b", True)]
    found = feed(WsprotoFallback(None, LIMIT), frame(2, b"a") + frame(0x80, b"\xff"), size)
    assert found == [(2, b"a", False), (2, b"\xff", True)]


def test_a_close_frame_is_judged_and_not_returned() -> None:
    assert WsprotoFallback(None, LIMIT).feed(close(1000, "bye")) == []
    with pytest.raises(ProtocolError, match="1 byte"):
        WsprotoFallback(None, LIMIT).feed(frame(0x88, b"a"))


@pytest.mark.parametrize(("data", "code"), [(frame(0x83), 1002), (frame(0x81, b"\xff"), 1007)])
def test_a_verdict_carries_its_close_code(data: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as raised:
        WsprotoFallback(None, LIMIT).feed(data)
    assert raised.value.close_code == code
    assert raised.value.description


@pytest.mark.parametrize("size", [0, 1])
def test_compressed_fragments(size: int) -> None:
    whole = packed()
    wsproto_fallback = WsprotoFallback(shared(), LIMIT)
    data = frame(0x41, whole[:9]) + frame(0) + frame(0, whole[9:]) + frame(0x80)
    for _ in range(2):
        found = feed(wsproto_fallback, data, size)
        assert b"".join(payload for _, payload, _ in found) == PLAIN
        assert [eom for _, _, eom in found][-1:] == [True]
    assert feed(wsproto_fallback, frame(1, b"a") + frame(0x80, b"b"), size)[-1] == (1, b"b", True)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_one_fragment_in_place_of_several(size: int) -> None:
    wsproto_fallback, payload = WsprotoFallback(None, LIMIT), bytes(size)
    wsproto_fallback.feed(frame(2, b"a"))
    assert wsproto_fallback.feed_fragment(payload, False) == [(2, payload, False)]
    assert wsproto_fallback.feed_fragment(payload, True) == [(2, payload, True)]


def test_a_close_between_compressed_fragments() -> None:
    assert feed(WsprotoFallback(shared(), LIMIT), frame(0x41, packed()) + close(1000), 0)


@pytest.mark.parametrize(
    "data",
    [
        frame(0xC0),
        frame(0xC8),
        frame(0x41, packed()[:9]) + frame(0xC0),
        frame(0x41, packed()[:9]) + frame(0xC1, packed()),
        frame(1, b"a") + frame(0xC1, packed()),
        frame(1, b"a") + frame(0xC1, b"\xff\xff"),
    ],
    ids=range(6),
)
def test_rsv1_in_the_wrong_place(data: bytes) -> None:
    with pytest.raises(ProtocolError) as raised:
        WsprotoFallback(shared(), LIMIT).feed(data)
    assert raised.value.close_code == 1002


def test_errors_of_inflating_keep_their_words() -> None:
    with pytest.raises(ProtocolError, match="corrupt") as raised:
        WsprotoFallback(shared(), LIMIT).feed(frame(0xC2, b"\xff" * 9))
    assert raised.value.close_code == 1007
    bomb = shared().compress(bytes(LIMIT + 1))
    assert bomb is not None
    with pytest.raises(ProtocolError, match="inflates") as raised:
        WsprotoFallback(shared(), LIMIT).feed(frame(0xC2, bomb))
    assert raised.value.close_code == 1009


def test_the_extension_never_offers_by_itself() -> None:
    assert Inflating(shared(), LIMIT).offer() is True
    assert Inflating(shared(), LIMIT).enabled()
