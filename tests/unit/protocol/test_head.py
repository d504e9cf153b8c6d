"""The head of an opening request in C: what it recognises, and that the answers stay the same."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.protocol import codec
from shardws.protocol.handshake import HandshakeConfig
from shardws.protocol.request import OpeningFields, Request
from tests.unit.protocol import random_heads
from tests.unit.protocol.opening_outcomes import CONFIGS, by_c, by_python
from tests.unit.protocol.random_heads import CORE, joined
from tests.unit.protocol.random_streams import Input

CASES = sorted((Path(__file__).parents[2] / "cases").glob("*/*.http"))
FRAME = b"\x81\x85\x00\x00\x00\x00hello"
START = b"GET / HTTP/1.1"

try:
    from shardws.protocol import _frames as in_c
except ImportError:  # built without a compiler
    pytest.skip("the C extension was not built", allow_module_level=True)


def recognised(data: bytes) -> codec.Head | None:
    return in_c.head(data, 16384, 8192, 100)


@pytest.mark.parametrize("data", random_heads.ordinary())
def test_what_the_usual_clients_send_is_recognised(data: bytes) -> None:
    found = recognised(data + FRAME)
    assert found is not None
    end, *values = found
    assert end == len(data)
    request = Request(data)
    for name, value in zip(OpeningFields._fields, values, strict=True):
        assert value == getattr(request, name)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_the_cases_of_the_reader(path: Path, config: HandshakeConfig) -> None:
    data = path.read_bytes()
    for pieces in ([data], [data + FRAME], [data, FRAME]):
        assert by_c(pieces, config) == by_python(pieces, config)


@pytest.mark.parametrize("data", random_heads.ordinary())
def test_a_head_in_two_pieces(data: bytes) -> None:
    """C reads only what came whole; the reader in Python then reads the rest."""
    for at in range(len(data)):
        pieces = [data[:at], data[at:] + FRAME]
        whole = by_python([data + FRAME], CONFIGS[0])
        assert by_c(pieces, CONFIGS[0]) == by_python(pieces, CONFIGS[0]) == whole
        assert recognised(data[:at]) is None


@pytest.mark.parametrize("data", random_heads.ordinary())
def test_each_byte_changed_to_each_other(data: bytes) -> None:
    """What C takes is what the reader takes, for every byte in every place."""
    for at in range(len(data)):
        for byte in random_heads.BYTES:
            changed = data[:at] + bytes((byte,)) + data[at + 1 :]
            if recognised(changed) is not None:
                pieces = [changed]
                assert by_c(pieces, CONFIGS[0]) == by_python(pieces, CONFIGS[0])


def test_thousands_of_heads() -> None:
    source = random.Random(13)
    taken = 0
    for run in range(6000):
        data = random_heads.head(source)
        config = CONFIGS[run % len(CONFIGS)]
        expected = by_python([data], config)
        assert by_c([data], config) == expected, data
        taken += recognised(data) is not None
    assert taken > 1000  # or the ordinary is not what is generated


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=60), config=st.sampled_from(CONFIGS))
def test_heads_that_hypothesis_finds(data: bytes, config: HandshakeConfig) -> None:
    source = Input(data)
    text = random_heads.head(source)
    at = source.randrange(len(text) + 1)
    for pieces in ([text], [text[:at], text[at:]]):
        assert by_c(pieces, config) == by_python(pieces, config)


@pytest.mark.parametrize(
    "lines",
    [
        CORE[1:],
        (*CORE, b"Host: example.com"),
        (*CORE, b"Upgrade: websocket"),
        (*CORE, b"Content-Length: 0"),
        (*CORE, b"Transfer-Encoding: chunked"),
        (b"Host: [::1%eth0]", *CORE[1:]),
        (*CORE, b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b"),
        (*CORE, b"X: \x01"),
        (*CORE, b"X : a"),
        (*CORE, b"X"),
    ],
)
def test_the_unusual_is_left_to_the_reader(lines: tuple[bytes, ...]) -> None:
    assert recognised(joined(START, lines)) is None


@pytest.mark.parametrize(
    ("header", "line", "lines", "is_taken"),
    [
        (0, 0, 0, True),
        (-1, 0, 0, False),
        (0, -1, 0, False),
        (0, 0, -1, False),
    ],
)
def test_limits(header: int, line: int, lines: int, is_taken: bool) -> None:
    """A head that just fits, and by one too much; what stands behind it does not count."""
    data = joined(START, CORE)
    found = in_c.head(data + FRAME, len(data) + header, len(START) + line, len(CORE) + lines)
    assert (found is not None) == is_taken


@pytest.mark.parametrize("limits", [(-1, 8192, 100), (16384, -1, 100), (16384, 8192, -1)])
def test_negative_limits_take_nothing(limits: tuple[int, int, int]) -> None:
    assert in_c.head(joined(START, CORE), *limits) is None


@pytest.mark.parametrize("arguments", [(), (b"",), ("", 1, 1, 1), (b"", "", 1, 1)])
def test_wrong_arguments(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        in_c.head(*arguments)
