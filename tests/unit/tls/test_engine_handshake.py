"""The engine before OPEN: no TLS at all, refusals, choices, and bounds."""

import dataclasses

import pytest
import trustme

from shardws.errors import StateError
from shardws.tls import contexts, endings
from shardws.tls.clienthello import LIMIT
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.engine import SLICE, State, TLSEngine
from shardws.tls.ffi import Calls
from tests.unit.tls.stdlib_client import (
    TLS12,
    VERSIONS,
    StdlibClient,
    client_context,
    config_of,
    state_of,
)

both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "plain HTTP"),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", "HTTP proxy request"),
        (b"\x00" * 100, "not TLS"),
        (b"\x16\x03\x00" + b"x" * 100, "length too long"),
        (b"\x80\x2e\x01\x00\x02" + b"x" * 100, ""),
    ],
)
@pytest.mark.parametrize("is_choosing", [False, True])
def test_what_is_no_tls(
    context: ServerContext, calls: Calls, data: bytes, words: str, is_choosing: bool
) -> None:
    engine = TLSEngine(context, calls, is_choosing=is_choosing)
    assert engine.receive(data) == b""
    assert state_of(engine) is State.CLOSED
    assert engine.ending is not None
    assert engine.ending.code == 280
    assert words in engine.ending.description


def test_a_client_that_leaves(context: ServerContext, calls: Calls, authority: trustme.CA) -> None:
    engine = TLSEngine(context, calls)
    client = StdlibClient(client_context(authority), engine)
    client._step()
    engine.receive(client.sent.read()[:100])
    engine.eof()
    assert engine.ending == endings.LEFT


def test_a_client_that_distrusts_us(context: ServerContext, calls: Calls) -> None:
    engine = TLSEngine(context, calls)
    client = StdlibClient(client_context(trustme.CA()), engine).handshake()
    assert client.error is not None
    assert state_of(engine) is State.CLOSED
    assert engine.ending is not None
    assert engine.ending.code == 280
    assert "unknown ca" in engine.ending.description


def test_no_common_version(context: ServerContext, calls: Calls, leaf: trustme.LeafCert) -> None:
    only13 = contexts.build(dataclasses.replace(config_of(leaf), enabled_protocols=12288))
    client = StdlibClient(client_context(trustme.CA(), TLS12), TLSEngine(only13, calls)).handshake()
    assert client.error is not None
    assert "PROTOCOL_VERSION" in str(client.error)


@pytest.mark.parametrize("is_choosing", [False, True])
def test_bytes_before_the_end_of_the_handshake_are_bounded(
    context: ServerContext, calls: Calls, is_choosing: bool
) -> None:
    """A hello of 124 KiB, which OpenSSL itself would wait for."""
    engine = TLSEngine(context, calls, is_choosing=is_choosing)
    engine.receive(b"\x16\x03\x01\x40\x00\x01\x01\xf0\x00" + b"x" * 16380)
    record = b"\x16\x03\x01\x40\x00" + b"x" * 16384
    for _ in range(LIMIT // len(record) + 2):
        engine.receive(record)
    assert state_of(engine) is State.CLOSED
    assert engine.ending == Ending(280, f"more than {LIMIT} bytes before the end of the handshake")


def test_a_silent_flood_in_the_handshake(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    """Records that OpenSSL swallows: a TLS 1.3 client may send ChangeCipherSpec at will."""
    engine = TLSEngine(context, calls)
    client = StdlibClient(client_context(authority), engine)
    client._step()
    engine.receive(client.sent.read())
    ccs = b"\x14\x03\x03\x00\x01\x01"
    for _ in range(2 * LIMIT // len(ccs)):
        engine.receive(ccs)
    assert state_of(engine) is State.CLOSED


def test_choosing(
    context: ServerContext, calls: Calls, authority: trustme.CA, deep_leaf: trustme.LeafCert
) -> None:
    other = contexts.build(config_of(deep_leaf))
    engine = TLSEngine(context, calls, is_choosing=True)
    assert state_of(engine) is State.HELLO
    client = StdlibClient(client_context(authority), engine)
    client._step()
    hello = client.sent.read()
    assert engine.receive(hello[:50]) == b""
    assert state_of(engine) is State.HELLO
    assert engine.receive(hello[50:]) == b""
    assert state_of(engine) is State.CHOOSING
    assert engine.hello is not None
    assert engine.hello.server_name == "shard.example.org"
    assert engine.outgoing() == b""
    assert engine.receive(b"") == b""
    assert engine.start(other) == b""
    assert engine.context is other
    client.received.write(engine.outgoing())
    client.handshake()
    assert state_of(engine) is State.OPEN
    subject = client.object.getpeercert()
    assert subject is not None
    assert (("commonName", "deep"),) in subject["subject"]


def test_what_comes_while_choosing_is_kept_and_bounded(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    engine = TLSEngine(context, calls, is_choosing=True)
    client = StdlibClient(client_context(authority), engine)
    client._step()
    hello = client.sent.read()
    assert engine.receive(hello + b"\x14\x03\x03") == b""
    assert engine.receive(b"\x00\x01\x01") == b""
    engine.start()
    client.received.write(engine.outgoing())
    assert client.handshake().engine.state is State.OPEN

    engine = TLSEngine(context, calls, is_choosing=True)
    engine.receive(hello)
    for _ in range(5):
        engine.receive(b"x" * SLICE)
    assert state_of(engine) is State.CLOSED
    with pytest.raises(StateError):
        engine.start()


def test_start_at_the_wrong_time(context: ServerContext, calls: Calls) -> None:
    with pytest.raises(StateError):
        TLSEngine(context, calls).start()


def test_eof_while_choosing(context: ServerContext, calls: Calls, authority: trustme.CA) -> None:
    engine = TLSEngine(context, calls, is_choosing=True)
    client = StdlibClient(client_context(authority), engine)
    client._step()
    engine.receive(client.sent.read())
    engine.eof()
    with pytest.raises(StateError):
        engine.start()
    assert engine.ending == endings.LEFT
