"""The HTTP answers: exact bytes, and what an application cannot put into them."""

import pytest

from shardws.errors import HandshakeError
from shardws.protocol.request import Request
from shardws.protocol.response import accept, parse_headers, refuse, select_protocol, tokens_of


def request(protocols: str = "") -> Request:
    offer = f"Sec-WebSocket-Protocol: {protocols}\r\n".encode() if protocols else b""
    return Request(
        b"GET / HTTP/1.1\r\nHost: a\r\n%bSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        % offer
    )


def test_accept_as_in_the_example_of_the_rfc() -> None:
    """RFC 6455 1.3."""
    assert accept(request()) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize("headers", ["X-A: 1\r\nX-B: \xfc", [("X-A", "1"), ("X-B", "\xfc")]])
def test_accept_with_everything(headers: str | list[tuple[str, str]]) -> None:
    answer = accept(request("chat, other"), "other", "permessage-deflate; a; b", headers)
    assert answer.endswith(
        b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: other\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; a; b\r\n"
        b"X-A: 1\r\n"
        b"X-B: \xfc\r\n"
        b"\r\n"
    )


INJECTIONS = [
    ("X-A", "1\r\nX-B: 2"),
    ("X-A", "1\nX-B: 2"),
    ("X-A", "1\r2"),
    ("X-A", "1\x00"),
    ("X-A", "\u20ac"),
    ("X-A\r\nX-B", "1"),
    ("X-A ", "1"),
    ("", "1"),
    ("X:A", "1"),
    ("Content-Length", "1"),
    ("Transfer-Encoding", "chunked"),
    ("connection", "close"),
    ("Sec-WebSocket-Accept", "x"),
    ("Sec-WebSocket-Extensions", "x"),
    ("Sec-WebSocket-Protocol", "x"),
]


@pytest.mark.parametrize("header", INJECTIONS)
def test_headers_cannot_break_out_or_contradict(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        accept(request(), headers=[header])
    with pytest.raises(ValueError, match="header"):
        refuse(HandshakeError(403, "no", (header,)))


@pytest.mark.parametrize(
    "text", ["nonsense", "X: 1\r\nnonsense", "X: 1\r\n\r\nY: 2", "\r\nX: 1", "X: 1\rY: 2", " X: 1"]
)
def test_header_text_cannot_break_out(text: str) -> None:
    with pytest.raises(ValueError, match="header"):
        accept(request(), headers=text)


def test_upgrade_is_ours_in_an_acceptance() -> None:
    with pytest.raises(ValueError, match="Upgrade is set by the server"):
        accept(request(), headers="Upgrade: h2c")


@pytest.mark.parametrize("protocol", ["other", "chat, other", "x\r\nX-A: 1", "CHAT"])
def test_a_protocol_must_have_been_offered(protocol: str) -> None:
    with pytest.raises(ValueError, match="not offered"):
        accept(request("chat"), protocol)


def test_an_extension_cannot_break_out() -> None:
    with pytest.raises(ValueError, match="character"):
        accept(request(), extensions="x\r\nX-A: 1")


def test_refuse() -> None:
    error = HandshakeError(503, "the server is full", (("Retry-After", "5"),))
    assert refuse(error) == (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"Connection: close\r\n"
        b"Retry-After: 5\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 19\r\n"
        b"\r\n"
        b"the server is full\n"
    )


def test_refuse_names_its_upgrade_in_connection() -> None:
    """RFC 9110 7.8."""
    answer = refuse(HandshakeError(426, "no", (("Upgrade", "websocket"),)))
    assert b"\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n" in answer


def test_refuse_counts_bytes_not_characters() -> None:
    assert refuse(HandshakeError(400, "\u20ac")).endswith(
        b"Content-Length: 4\r\n\r\n\xe2\x82\xac\n"
    )


@pytest.mark.parametrize("status", [204, 205, 304])
def test_answers_without_a_body(status: int) -> None:
    answer = refuse(HandshakeError(status, "text"))
    assert answer.endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (302, b"HTTP/1.1 302 Found\r\n"),
        (431, b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (499, b"HTTP/1.1 499 Refused\r\n"),
    ],
)
def test_status_lines(status: int, line: bytes) -> None:
    assert refuse(HandshakeError(status, "text")).startswith(line)


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, -1])
def test_a_status_that_ends_nothing(status: int) -> None:
    with pytest.raises(ValueError, match="no final answer"):
        refuse(HandshakeError(status, "text"))


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", ()),
        ("\r\n", ()),
        ("X: 1", (("X", "1"),)),
        ("X: 1\r\n", (("X", "1"),)),
        ("X: 1\nY:2 \r\nZ:\t a:b", (("X", "1"), ("Y", "2"), ("Z", "a:b"))),
        ("X:", (("X", ""),)),
    ],
)
def test_parse_headers(text: str, headers: tuple[tuple[str, str], ...]) -> None:
    assert parse_headers(text) == headers


@pytest.mark.parametrize(
    ("offered", "left", "chosen"),
    [
        ("a, b", "b", "b"),
        ("a, b", " b ", "b"),
        ("a, b", "a, b", ""),  # left as it was
        ("a, b", "", ""),
        ("a, b", "c", ""),
        ("a, b", "A", ""),  # RFC 6455 names are compared as they are
        ("a", "a", "a"),
        ("", "a", ""),
        ("", "", ""),
    ],
)
def test_select_protocol(offered: str, left: str, chosen: str) -> None:
    assert select_protocol(request(offered), left) == chosen


def test_empty_elements_of_a_list_do_not_count() -> None:
    assert tokens_of(" , a,,\tb ,") == ["a", "b"]
