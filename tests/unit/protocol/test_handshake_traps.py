"""The traps of wsproto 1.3.2 in the opening handshake, one test each."""

import pytest

from shardws.errors import HandshakeError
from shardws.protocol.handshake import HandshakeConfig, HandshakeReader, accept

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def status_of(data: bytes) -> int:
    with pytest.raises(HandshakeError) as caught:
        HandshakeReader(HandshakeConfig()).receive(data)
    return caught.value.status


def test_trap_the_key_is_not_checked() -> None:
    """wsproto answers 101 to any Sec-WebSocket-Key."""
    assert status_of(REQUEST.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"anything")) == 400


def test_trap_http_1_0_gets_101() -> None:
    """wsproto answers 101 to HTTP/1.0, which knows no Upgrade."""
    assert status_of(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0")) == 400


def test_trap_a_host_octet_above_127_raises() -> None:
    """wsproto decodes Host as ASCII and raises UnicodeDecodeError."""
    assert status_of(REQUEST.replace(b"example.com", b"ex\xe4mple.com")) == 400


def test_trap_octets_in_other_fields_are_harmless() -> None:
    """wsproto decodes them too; here they are opaque and come out as latin-1."""
    data = REQUEST.replace(b"\r\n\r\n", b"\r\nX-A: \xfe\r\nX-B: gr\xfc\xdf\r\n\r\n")
    request = HandshakeReader(HandshakeConfig()).receive(data)
    assert request is not None
    assert (request.header("X-A"), request.header("X-B")) == ("\xfe", "gr\xfc\xdf")


def test_trap_a_header_without_end_is_not_bounded() -> None:
    """wsproto goes on buffering; here it is refused at max_header_bytes."""
    reader = HandshakeReader(HandshakeConfig(max_header_bytes=1024))
    assert reader.receive(REQUEST[:-2]) is None
    line = b"X: y\r\n"
    for _ in range((1023 - len(REQUEST[:-2])) // len(line)):
        assert reader.receive(line) is None
    with pytest.raises(HandshakeError) as caught:
        reader.receive(line)
    assert caught.value.status == 431


def test_trap_frames_in_the_segment_of_the_request_are_lost() -> None:
    """wsproto drops what stands behind the request; here it is `rest`."""
    reader = HandshakeReader(HandshakeConfig())
    request = reader.receive(REQUEST + b"\x81\x80\x00\x00\x00\x00")
    assert request is not None
    assert reader.rest == b"\x81\x80\x00\x00\x00\x00"
    assert accept(request).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("port", [b"", b"0", b"65535"])
def test_a_port_of_the_host(port: bytes) -> None:
    data = REQUEST.replace(b"example.com", b"example.com:" + port)
    assert HandshakeReader(HandshakeConfig()).receive(data) is not None


@pytest.mark.parametrize("port", [b"65536", b"99999", b"100000"])
def test_a_port_of_the_host_that_no_port_can_have(port: bytes) -> None:
    """wsproto does not look at it."""
    assert status_of(REQUEST.replace(b"example.com", b"example.com:" + port)) == 400
