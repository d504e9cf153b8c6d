"""The opening handshake: golden pairs of tests/cases, limits, promptness, bounds of memory.

A pair is NAME.http, the bytes as they come, and NAME.json, what is to follow: the values of the
Request for valid ones; status, text and headers of the refusal for invalid ones.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.errors import HandshakeError, StateError
from shardws.protocol.handshake import HandshakeConfig, HandshakeReader, Hosts, Origins, Request

CASES = Path(__file__).parents[2] / "cases"
VALID = sorted((CASES / "valid").glob("*.http"))
INVALID = sorted((CASES / "invalid").glob("*.http"))
FRAME = b"\x81\x85\x00\x00\x00\x00hello"

HEAD = (
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
REQUEST = HEAD + b"\r\n"


def read(pieces: Iterator[bytes], config: HandshakeConfig | None = None) -> Request | None:
    reader = HandshakeReader(config or HandshakeConfig())
    request = None
    for piece in pieces:
        request = reader.receive(piece)
        if request is not None:
            break
    return request


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def ways(data: bytes) -> list[list[bytes]]:
    """The data whole, byte by byte, in two at each place, and in lines."""
    cuts = [[data[:at], data[at:]] for at in range(len(data) + 1)]
    return [[data], list(bytewise(data)), data.splitlines(keepends=True), *cuts]


def refusal(pieces: list[bytes], config: HandshakeConfig | None = None) -> tuple[int, str]:
    with pytest.raises(HandshakeError) as caught:
        read(iter(pieces), config)
    return caught.value.status, caught.value.description


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_requests(path: Path) -> None:
    data, expected = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
    for pieces in ways(data):
        request = read(iter(pieces))
        assert request is not None
        assert {name: getattr(request, name) for name in expected} == expected
        assert request.raw == data.removeprefix(b"\r\n")


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_frames_behind_the_request_are_kept(path: Path) -> None:
    """wsproto loses frames that come in one segment with the upgrade request."""
    data = path.read_bytes()
    for at in range(len(data)):
        reader = HandshakeReader(HandshakeConfig())
        assert reader.receive(data[:at]) is None
        request = reader.receive(data[at:] + FRAME)
        assert request is not None
        assert request.raw == data.removeprefix(b"\r\n")
        assert reader.rest == FRAME


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_requests(path: Path) -> None:
    """The same refusal, however the bytes are cut and whatever stands behind them."""
    data, expected = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
    for pieces in [*ways(data), [data + FRAME], list(bytewise(data + FRAME)), [data + REQUEST]]:
        with pytest.raises(HandshakeError) as caught:
            read(iter(pieces))
        error = caught.value
        assert (error.status, error.description) == (expected["status"], expected["text"])
        assert dict(error.headers) == expected["headers"]


def test_there_are_cases_on_disk() -> None:
    assert len(VALID) >= 15
    assert len(INVALID) >= 90


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 1),  # a TLS ClientHello
        (b"\x80\x2e\x01", 1),
        (b"\r\n\r\n", 3),
        (b"\rG", 2),
        (b"\n", 1),
        (b"\r\n GET", 3),
        (b"GET /\x00", 6),
        (b"GET /\xff", 6),
        (b"GET /a\nHost", 7),
        (b"GET / HTTP/1.0\r\n", 16),
        (b"POST / HTTP/1.1\r\n", 17),
        (b"EHLO example.com\r\n", 18),
        (b"GET / HTTP/1.1\r\nHost: a\n", 24),
        (b"GET / HTTP/1.1\r\nHost: a\rb", 25),
        (b"GET / HTTP/1.1\r\nHost: \x01", 23),
    ],
)
def test_garbage_is_refused_at_its_first_bad_byte(data: bytes, needed: int) -> None:
    reader = HandshakeReader(HandshakeConfig())
    for byte in bytewise(data[: needed - 1]):
        assert reader.receive(byte) is None
    with pytest.raises(HandshakeError):
        reader.receive(data[needed - 1 : needed])


@pytest.mark.parametrize("at", range(len(REQUEST)))
def test_an_unfinished_request_waits(at: int) -> None:
    reader = HandshakeReader(HandshakeConfig())
    assert reader.receive(REQUEST[:at]) is None
    assert reader.receive(b"") is None
    assert reader.rest == b""


def test_a_reader_reads_one_request() -> None:
    reader = HandshakeReader(HandshakeConfig())
    assert reader.receive(REQUEST) is not None
    with pytest.raises(StateError):
        reader.receive(REQUEST)


LINE_LIMIT = HandshakeConfig(max_line_bytes=64)
HEADER_LIMIT = HandshakeConfig(max_header_bytes=len(REQUEST), max_line_bytes=64)
COUNT_LIMIT = HandshakeConfig(max_headers=6)
TINY = HandshakeConfig(max_header_bytes=30)


def with_line(length: int) -> bytes:
    """A request whose request line has `length` bytes."""
    return REQUEST.replace(b"/chat", b"/" + b"a" * (length - len("GET / HTTP/1.1")))


@pytest.mark.parametrize(
    ("config", "data"),
    [
        (LINE_LIMIT, with_line(64)),
        (HEADER_LIMIT, REQUEST),
        (COUNT_LIMIT, HEAD + b"X: 1\r\n\r\n"),
        (HandshakeConfig(), HEAD + b"X: 1\r\n" * 95 + b"\r\n"),
        (HandshakeConfig(), HEAD + b"X: " + b"a" * (16384 - len(REQUEST) - 5) + b"\r\n\r\n"),
    ],
)
def test_a_request_at_a_limit_passes(config: HandshakeConfig, data: bytes) -> None:
    for pieces in ([data], list(bytewise(data)), [data + FRAME]):
        request = read(iter(pieces), config)
        assert request is not None
        assert request.raw == data


@pytest.mark.parametrize(
    ("config", "data", "status"),
    [
        (LINE_LIMIT, with_line(65), 414),
        (LINE_LIMIT, b"GET /" + b"a" * 100, 414),
        (LINE_LIMIT, b"A" * 65, 414),
        (LINE_LIMIT, b"GET /" + b"a" * 100 + b"\x00", 414),
        (LINE_LIMIT, b"GET /" + b"a" * 50 + b"\x00" + b"a" * 50, 400),
        (TINY, b"GET /" + b"a" * 100, 414),
        (HEADER_LIMIT, HEAD + b"X: 1\r\n\r\n", 431),
        (HEADER_LIMIT, HEAD + b"X: 1\r\n", 431),
        (HEADER_LIMIT, b"GET / HTTP/1.1\r\nX: " + b"a" * 200, 431),
        (HEADER_LIMIT, b"GET / HTTP/1.1\r\nX: " + b"a" * 200 + b"\x00", 431),
        (HEADER_LIMIT, b"GET / HTTP/1.1\r\nX: \x00" + b"a" * 200, 400),
        (COUNT_LIMIT, HEAD + b"X: 1\r\n" * 2 + b"\r\n", 431),
        (HandshakeConfig(), HEAD + b"X: 1\r\n" * 96 + b"\r\n", 431),
        (HandshakeConfig(), with_line(8193), 414),
        (HandshakeConfig(), HEAD + b"X: " + b"a" * 16384, 431),
        # two faults: the first one in the order of the bytes is named
        (COUNT_LIMIT, HEAD.replace(b"/chat", b"ftp://a/") + b"X: 1\r\n" * 2 + b"\r\n", 400),
        (LINE_LIMIT, with_line(65).replace(b"1.1", b"1.0"), 414),
    ],
)
def test_a_request_above_a_limit_is_refused(
    config: HandshakeConfig, data: bytes, status: int
) -> None:
    for pieces in ([data], list(bytewise(data)), [data[:40], data[40:]], [data + FRAME]):
        assert refusal(pieces, config)[0] == status


def test_memory_of_an_endless_header_is_bounded() -> None:
    """wsproto and h11 leave headers without end to their user."""
    config = HandshakeConfig(max_header_bytes=2048)
    reader = HandshakeReader(config)
    assert reader.receive(HEAD) is None
    assert reader._buffer is not None
    with pytest.raises(HandshakeError):
        reader.receive(b"X: " + b"a" * (1 << 20))
    assert len(reader._buffer) <= 2048
    assert sys.getsizeof(reader._buffer) < 4096


@pytest.mark.parametrize(
    ("origins", "origin", "passes"),
    [
        ("", b"http://example.com", True),
        ("", b"http://other.example", False),
        ("*", b"http://other.example", True),
        ("https://*.other.example", b"https://app.other.example", True),
        ("https://*.other.example", b"http://example.com", False),
    ],
)
def test_origins(origins: str, origin: bytes, passes: bool) -> None:
    config = HandshakeConfig(origins=Origins.parse(origins))
    data = [HEAD + b"Origin: " + origin + b"\r\n\r\n"]
    if passes:
        assert read(iter(data), config) is not None
    else:
        assert refusal(data, config)[0] == 403


@pytest.mark.parametrize(
    ("origin", "is_secure", "passes"),
    [
        (b"https://example.com", True, True),
        (b"http://example.com", True, False),  # whoever is on the way of that page could act as it
        (b"http://example.com", False, True),
        (b"https://example.com", False, True),  # a proxy in front that did not tell
    ],
)
def test_the_same_host_includes_its_scheme(origin: bytes, is_secure: bool, passes: bool) -> None:
    reader = HandshakeReader(HandshakeConfig(), lambda request: is_secure)
    data = HEAD + b"Origin: " + origin + b"\r\n\r\n"
    if passes:
        assert reader.receive(data) is not None
        return
    with pytest.raises(HandshakeError) as caught:
        reader.receive(data)
    assert caught.value.status == 403
    assert "AllowedOrigins" in caught.value.detail
    assert "without TLS" in caught.value.detail


def test_a_refused_origin_is_told_in_the_log_escaped_and_bounded() -> None:
    """The line named neither the origin nor the setting that decides."""
    origin = b"http://evil\xff.example" + b"x" * 1000
    with pytest.raises(HandshakeError) as caught:
        HandshakeReader(HandshakeConfig()).receive(HEAD + b"Origin: " + origin + b"\r\n\r\n")
    error = caught.value
    assert error.detail.startswith("the origin 'http://evil\\xff.examplexx")
    assert error.detail.endswith("... is not in AllowedOrigins")
    assert len(error.detail) < 300
    assert error.description == "the origin is not allowed"


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        (b"localhost:9001", b"/", 101),
        (b"evil.example", b"/", 421),
        (b"localhost", b"http://evil.example/", 421),  # the target counts (RFC 9112 3.2.2)
    ],
)
def test_hosts(host: bytes, target: bytes, status: int) -> None:
    """A page whose name is made to lead here (DNS rebinding) was answered with 101."""
    config = HandshakeConfig(hosts=Hosts.parse("loopback"), origins=Origins.parse("*"))
    data = [HEAD.replace(b"/chat", target).replace(b"example.com", host) + b"\r\n"]
    if status == 101:
        assert read(iter(data), config) is not None
        return
    with pytest.raises(HandshakeError) as caught:
        read(iter(data), config)
    assert caught.value.status == status
    assert caught.value.detail == "the host 'evil.example' is not in AllowedHosts"


def test_a_request_without_origin_is_no_web_page() -> None:
    config = HandshakeConfig(origins=Origins.parse("https://app.example.com"))
    assert read(iter([REQUEST]), config) is not None


PIECES = st.one_of(
    st.sampled_from(
        [
            *REQUEST.splitlines(keepends=True),
            b"\r",
            b"\n",
            b" ",
            b":",
            b"GET ",
            b" HTTP/1.1",
            b"http://a/",
            b"X: y\r\n",
        ]
    ),
    st.binary(max_size=8),
)


@given(st.lists(PIECES, max_size=24).map(b"".join), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_give_the_same_answer_in_any_pieces(data: bytes, places: list[int]) -> None:
    """Nothing but None, a Request or a HandshakeError; the cuts do not change which."""

    def answer(pieces: list[bytes]) -> tuple[object, ...]:
        try:
            request = read(iter(pieces))
        except HandshakeError as error:
            return error.status, error.description, error.headers
        return (request.raw,) if request else (None,)

    cuts = [0, *sorted(place for place in places if place < len(data)), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(cuts)]
    assert answer([data]) == answer(pieces) == answer(list(bytewise(data)))


@given(st.integers(0, len(REQUEST) - 1), st.integers(0, 255))
def test_any_changed_byte_is_answered(at: int, value: int) -> None:
    """One byte of a good request changed: still one of the three, with a status of the table."""
    data = REQUEST[:at] + bytes([value]) + REQUEST[at + 1 :]
    status = 0
    try:
        request = read(iter([data]))
    except HandshakeError as error:
        status = error.status
    else:
        assert request is None or request.raw == data
    assert status in {0, 400, 405, 426, 505}
