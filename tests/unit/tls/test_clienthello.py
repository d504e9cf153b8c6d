"""The ClientHello reader against hellos of the stdlib and of openssl, and against noise."""

import contextlib
import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from shardws.errors import PeerError
from shardws.tls import clienthello
from shardws.tls.clienthello import LIMIT, Hello, HelloReader
from tests.unit.tls.stdlib_client import TLS12, TLS13


def hello_of(version: ssl.TLSVersion = TLS13, name: str = "Shard.Example.Org") -> bytes:
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def read(data: bytes) -> Hello:
    hello = HelloReader().receive(data)
    assert hello is not None
    return hello


def test_hello_of_the_stdlib() -> None:
    hello = read(hello_of())
    assert hello.server_name == "shard.example.org"
    assert hello.protocols == ("h2", "http/1.1")
    assert hello.versions == (0x0304,)
    assert hello.is_modern
    assert hello.suite_names().startswith("TLS_AES_256_GCM_SHA384,")
    assert "ecdsa_secp256r1_sha256" in hello.signature_names().split(",")
    assert "x25519" in hello.group_names().split(",")
    assert hello.ticket_key == b""


def test_hello_of_tls_12_offers_no_13() -> None:
    hello = read(hello_of(TLS12))
    assert hello.versions == ()
    assert not hello.is_modern


def test_hello_of_openssl_4_spans_segments() -> None:
    """Its ML-KEM share makes it larger than one TCP segment."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    data = connection.bio_read(65536)
    assert len(data) > 1460
    assert "X25519MLKEM768" in read(data).group_names()
    assert read(data).server_name == ""


def test_byte_by_byte() -> None:
    data = hello_of()
    reader = HelloReader()
    for at in range(len(data) - 1):
        assert reader.receive(data[at : at + 1]) is None
    assert reader.receive(data[-1:]) == read(data)
    assert reader.data == data


@pytest.mark.parametrize("size", [1, 3, 100])
def test_split_over_records(size: int) -> None:
    data = hello_of()
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    split = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)
    assert read(split) == read(data)


def block(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + block(2, data)


def message(*extensions: bytes, suites: bytes = b"\x13\x01") -> bytes:
    body = b"\x03\x03" + bytes(32) + block(1, b"") + block(2, suites) + block(1, b"\0")
    body += block(2, b"".join(extensions))
    return b"\x16\x03\x01" + block(2, b"\x01" + block(3, body))


def test_grease_is_left_out() -> None:
    """RFC 8701: browsers put such values everywhere."""
    groups = extension(10, block(2, b"\x3a\x3a\x00\x1d"))
    versions = extension(43, block(1, b"\xfa\xfa\x03\x04"))
    protocols = extension(16, block(2, block(1, b"\x0a\x0a") + block(1, b"h2")))
    hello = read(
        message(extension(0x1A1A, b""), groups, versions, protocols, suites=b"\x2a\x2a\x13\x01")
    )
    assert hello == Hello((0x1301,), groups=(0x1D,), versions=(0x0304,), protocols=("h2",))


def test_hello_without_extensions() -> None:
    body = b"\x03\x01" + bytes(32) + block(1, b"") + block(2, b"\x00\x2f") + block(1, b"\0")
    data = b"\x16\x03\x01" + block(2, b"\x01" + block(3, body))
    assert read(data) == Hello((0x2F,))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (b"A.example.", "a.example"),
        (b"\xff.example", ""),
        (b"a\0b", ""),
        (b"x" * 256, ""),
        (b"", ""),
    ],
)
def test_server_names(name: bytes, found: str) -> None:
    names = b"\x01" + block(2, b"other kind") + b"\x00" + block(2, name)
    assert read(message(extension(0, block(2, names)))).server_name == found


def test_no_host_name_among_the_names() -> None:
    assert read(message(extension(0, block(2, b"\x01" + block(2, b"x"))))).server_name == ""


def test_key_name_of_a_ticket() -> None:
    ticket = bytes(range(200))
    assert read(message(extension(35, ticket))).ticket_key == ticket[:16]
    assert read(message(extension(35, b""))).ticket_key == b""
    identities = block(2, block(2, ticket) + bytes(4)) + block(2, block(1, bytes(32)))
    assert read(message(extension(41, identities))).ticket_key == ticket[:16]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n", "not TLS"),
        (b"\x16\x02", "not TLS"),
        (b"\x15\x03\x01\x00\x02\x02\x00", "not TLS"),
        (b"\x16\x03\x01\x00\x00", "record of 0"),
        (b"\x16\x03\x01\x40\x01", "record of 16385"),
        (b"\x16\x03\x01\x00\x01\x02", "no ClientHello"),
        (b"\x16\x03\x01\x00\x04\x01\x01\x00\x01", "ClientHello of 65537"),
        (message(extension(10, block(2, b"\x00"))), "odd list"),
        (message(extension(10, b"\x00\x09\x00")), "cut"),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "cut"),
    ],
)
def test_what_is_no_hello(data: bytes, words: str) -> None:
    with pytest.raises(PeerError, match=words) as caught:
        HelloReader().receive(data)
    assert caught.value.code == 280


def test_a_hello_that_never_ends_is_cut_off() -> None:
    reader = HelloReader()
    tiny = b"\x16\x03\x01\x00\x01"
    data = tiny + b"\x01" + tiny + b"\x00" + tiny + b"\xff" + tiny + b"\xff"
    assert reader.receive(data) is None
    drip = (tiny + b"x") * 100
    while len(reader.data) + len(drip) <= LIMIT:
        assert reader.receive(drip) is None
    with pytest.raises(PeerError, match="no whole ClientHello"):
        reader.receive(drip)


VALID = hello_of()


@given(st.binary(max_size=300) | st.integers(0, len(VALID) - 1).map(lambda at: VALID[:at]))
@settings(max_examples=300)
def test_noise_is_refused_or_awaited(data: bytes) -> None:
    """Any bytes give a hello, a wait for more, or PeerError: nothing else."""
    with contextlib.suppress(PeerError):
        HelloReader().receive(data)


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6))
@settings(max_examples=500)
def test_damaged_hellos_are_refused_or_read(changes: list[tuple[int, int]]) -> None:
    """A hello with a few bytes changed gives a hello, a wait, or PeerError."""
    data = bytearray(VALID)
    for at, value in changes:
        data[at] = value
    with contextlib.suppress(PeerError):
        HelloReader().receive(bytes(data))


def test_limit_is_that_of_the_message() -> None:
    assert clienthello.LIMIT == 65536
