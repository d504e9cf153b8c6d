"""What callbacks see of a connection, in words."""

import pytest
from cryptography import x509
from OpenSSL import SSL, crypto

from shardws.tls.callback_state import MAX_LINES, CallbackState, alert_text
from shardws.tls.verification import ClientCertificate


def make() -> CallbackState:
    return CallbackState(None, frozenset(), False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0x0100, "warning close_notify"),
        (0x0228, "fatal handshake_failure"),
        (0x02FE, "fatal 254"),
    ],
)
def test_alerts(value: int, text: str) -> None:
    assert alert_text(value) == text


@pytest.mark.parametrize(
    ("kind", "head", "line"),
    [
        (22, b"\x01\x00\x02\x00", "packet received: 0x0303 Handshake ClientHello, 516 bytes"),
        (22, b"\x63\x00\x00\x00", "packet received: 0x0303 Handshake message 99, 4 bytes"),
        (21, b"\x02\x30", "packet received: 0x0303 Alert fatal unknown_ca"),
        (20, b"\x01", "packet received: 0x0303 ChangeCipherSpec"),
    ],
)
def test_packets(kind: int, head: bytes, line: str) -> None:
    seen = make()
    seen.packet(0, 0x0303, kind, head)
    assert seen.lines == [line]
    seen.packet(1, 0x0303, kind, head)
    assert seen.lines[1] == line.replace("received", "sent")


@pytest.mark.parametrize("kind", [23, 256, 257])
def test_data_and_headers_are_no_packets(kind: int) -> None:
    seen = make()
    seen.packet(0, 0x0303, kind, b"secret")
    assert seen.lines == []


def test_lines_are_bounded() -> None:
    seen = make()
    for _ in range(MAX_LINES + 10):
        seen.tell("line")
    assert len(seen.lines) == MAX_LINES


def test_steps() -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD))
    seen = make()
    seen.step(connection, SSL.SSL_CB_HANDSHAKE_START, 1)
    seen.step(connection, SSL.SSL_CB_READ_ALERT, 0x0230)
    seen.step(connection, SSL.SSL_CB_WRITE_ALERT, 0x0100)
    seen.step(connection, SSL.SSL_CB_ACCEPT_LOOP, 1)
    seen.step(connection, SSL.SSL_CB_ACCEPT_EXIT, 1)
    seen.step(connection, SSL.SSL_CB_HANDSHAKE_DONE, 1)
    assert seen.starts == 1
    assert seen.lines == [
        "handshake started",
        "alert received: fatal unknown_ca",
        "alert sent: warning close_notify",
        connection.get_state_string().decode(),
        "handshake completed",
    ]


class Unreadable(crypto.X509):
    """A certificate that OpenSSL takes and cryptography does not."""

    def __init__(self) -> None:
        pass

    def to_cryptography(self) -> x509.Certificate:
        raise ValueError("bad serial")


def test_an_unreadable_certificate_is_refused_without_asking() -> None:
    asked: list[ClientCertificate] = []

    def hook(found: ClientCertificate) -> bool:
        asked.append(found)
        return True

    seen = CallbackState(hook, frozenset(), False)
    assert not seen.judge(Unreadable(), 0, 0, 1)
    assert not seen.is_accepted
    assert asked == []
    assert seen.lines == ["client certificate cannot be read: bad serial"]
