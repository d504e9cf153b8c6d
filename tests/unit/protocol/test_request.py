"""Values read from the raw head when asked for."""

import sys

import pytest

from shardws.protocol.request import Request, authority_of

RAW = (
    b"GET /chat?token=secret HTTP/1.1\r\nHost:example.com:9001\r\nX-Host: wrong\r\n"
    b"ORIGIN: \t http://example.com \r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: a, b\r\nX-Name: gr\xfc\xdf\r\nsec-websocket-protocol: c\r\n"
    b"Sec-WebSocket-Extensions: x\r\nX-Text: Host: inner\r\n\r\n"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", "/chat?token=secret"),
        ("host", "example.com:9001"),
        ("origin", "http://example.com"),
        ("key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sub_protocols", "a, b, c"),
        ("extensions", "x"),
        ("headers_text", RAW.decode("latin-1").split("\r\n", 1)[1][:-4]),
    ],
)
def test_values(name: str, value: str) -> None:
    assert getattr(Request(RAW), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Name", "gr\xfc\xdf"),
        ("x-text", "Host: inner"),
        ("Text", ""),
        ("inner", ""),
        ("Missing", ""),
        ("\u20ac", ""),
    ],
)
def test_any_field(name: str, value: str) -> None:
    assert Request(RAW).header(name) == value


def test_absent_fields_are_empty() -> None:
    request = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (request.origin, request.sub_protocols, request.extensions) == ("", "", "")
    assert request.headers_text == "Host: a"


@pytest.mark.parametrize(
    ("target", "wsproto_fallback"),
    [
        ("/", ""),
        ("/a?b=http://c", ""),
        ("http://a", "a"),
        ("http://a:1/", "a:1"),
        ("ws://a?b/c", "a"),
        ("wss://[::1]:9/x://y", "[::1]:9"),
    ],
)
def test_authority_of_a_target(target: str, wsproto_fallback: str) -> None:
    assert authority_of(target) == wsproto_fallback


def test_the_host_of_an_absolute_target_counts() -> None:
    """RFC 9112 3.2.2: the Host field is ignored then."""
    assert Request(b"GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n").host == "a:1"


def test_a_request_is_its_bytes_and_one_slot() -> None:
    assert sys.getsizeof(Request(RAW)) <= 48


def test_repr_hides_the_query() -> None:
    assert repr(Request(RAW)) == "<Request /chat?...>"
