"""The engine against a client of the stdlib: states, chopping, ends, and abuse."""

import dataclasses
import gc
import ssl
import weakref

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from shardws.errors import StateError
from shardws.tls import contexts, endings
from shardws.tls.contexts import ServerContext
from shardws.tls.engine import State, TLSEngine
from shardws.tls.ffi import Calls
from shardws.tls.records import RecordCounter
from tests.unit.tls.stdlib_client import (
    VERSIONS,
    StdlibClient,
    client_context,
    config_of,
    connect,
    state_of,
)

both_versions = pytest.mark.parametrize("version", VERSIONS)


@both_versions
def test_echo(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = connect(context, calls, authority, version)
    for size in (1, 125, 16384, 16385, 100_000):
        data = bytes(range(256)) * (size // 256 + 1)
        assert client.send(data[:size]) == data[:size]
        assert client.decrypt(client.engine.send(data[:size])) == data[:size]
    assert client.engine.outgoing() == b""
    assert client.engine.ending is None
    assert client.engine.send(b"") == b""
    assert client.engine.receive(b"") == b""


@both_versions
def test_byte_by_byte(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    engine = TLSEngine(context, calls)
    client = StdlibClient(client_context(authority, version), engine)
    for _ in range(3):
        client._step()
        for byte in client.sent.read():
            assert engine.receive(bytes([byte])) == b""
        client.received.write(engine.outgoing())
    assert state_of(engine) is State.OPEN
    records = client.write(b"a" * 300) + client.write(b"b")
    assert b"".join(engine.receive(bytes([byte])) for byte in records) == b"a" * 300 + b"b"


def test_a_record_costs_one_read(
    context: ServerContext, calls: Calls, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No WantReadError on the hot path: it costs more than the read."""
    client = connect(context, calls, authority)
    records = client.write(b"one") + client.write(b"two")
    reads: list[Calls] = []
    original = type(calls).read

    def read(self: Calls, connection: SSL.Connection) -> bytes:
        reads.append(self)
        return original(self, connection)

    monkeypatch.setattr(type(calls), "read", read)
    assert client.engine.receive(records) == b"onetwo"
    assert len(reads) == 2
    assert client.engine.receive(client.write(b"x")[:-1]) == b""
    assert len(reads) == 2


def test_data_in_one_piece_with_the_end_of_the_handshake(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    """A client of TLS 1.3 sends Finished and its opening request together, and more follows."""
    engine = TLSEngine(context, calls)
    client = StdlibClient(client_context(authority), engine)
    client._step()
    engine.receive(client.sent.read())
    client.received.write(engine.outgoing())
    assert client._step()
    flight = client.sent.read() + client.write(b"request") + client.write(b"frame" * 10)
    assert engine.receive(flight[:-3]) == b"request"
    assert engine.receive(flight[-3:]) == b"frame" * 10


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(1, 70_000), max_size=12), size=st.integers(1, 150_000))
def test_any_chopping(
    context: ServerContext, calls: Calls, authority: trustme.CA, cuts: list[int], size: int
) -> None:
    """However the stream is cut, the plaintext is the same."""
    client = connect(context, calls, authority)
    data = bytes(range(251)) * (size // 251 + 1)
    stream = client.write(data[:size])
    found, at = b"", 0
    for cut in [*cuts, len(stream)]:
        found += client.engine.receive(stream[at : at + cut])
        at += cut
    assert found == data[:size]


def test_send_before_the_handshake_is_an_error(context: ServerContext, calls: Calls) -> None:
    with pytest.raises(StateError):
        TLSEngine(context, calls).send(b"early")


def test_no_ssl_object_before_the_first_byte(context: ServerContext, calls: Calls) -> None:
    engine = TLSEngine(context, calls)
    assert engine._connection is None
    engine.eof()
    assert engine.ending == endings.LEFT
    assert engine.close() == b""


@both_versions
def test_close_notify_of_the_peer(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = connect(context, calls, authority, version)
    last = client.write(b"last words") + client.close_notify()
    assert client.engine.receive(last) == b"last words"
    assert state_of(client.engine) is State.ENDED
    assert client.engine.ending == endings.CLOSE_NOTIFY
    client.received.write(client.engine.send(b"answer"))
    client.received.write(client.engine.close())
    assert state_of(client.engine) is State.CLOSED
    client.engine.eof()
    assert client.engine.ending is endings.CLOSE_NOTIFY
    with pytest.raises(ssl.SSLError, match="application data after close notify"):
        client.object.unwrap()  # the stdlib insists on reading nothing more


@both_versions
def test_close_of_ours(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = connect(context, calls, authority, version)
    late = client.write(b"late")
    client.received.write(client.engine.close())
    assert client.object.read(1) == b""  # the end; without close_notify it would wait for more
    assert state_of(client.engine) is State.CLOSED
    assert client.engine.ending == endings.LOCAL
    assert client.engine.ending.is_clean
    assert client.engine.receive(late) == b""
    assert client.engine.send(b"x") == b""
    assert client.engine.close() == b""


@both_versions
def test_truncation_is_no_clean_end(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = connect(context, calls, authority, version)
    client.engine.eof()
    assert client.engine.ending == endings.TRUNCATED
    assert client.engine.ending.code == 283
    assert state_of(client.engine) is State.CLOSED


@both_versions
def test_a_damaged_record(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = connect(context, calls, authority, version)
    good, bad = client.write(b"good"), bytearray(client.write(b"damaged"))
    bad[-1] ^= 1
    assert client.engine.receive(good + bytes(bad)) == b"good"
    assert state_of(client.engine) is State.CLOSED
    assert client.engine.ending is not None
    assert client.engine.ending.code == 282
    assert "bad record mac" in client.engine.ending.description
    client.received.write(client.engine.outgoing())
    with pytest.raises(ssl.SSLError, match="alert bad record mac"):
        client.object.read(1)


def test_a_single_damaged_record(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    client = connect(context, calls, authority)
    bad = bytearray(client.write(b"damaged"))
    bad[-1] ^= 1
    assert client.engine.receive(bytes(bad)) == b""
    assert client.engine.ending is not None
    assert client.engine.ending.code == 282


def test_an_oversized_record_is_refused_at_its_header(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    client = connect(context, calls, authority)
    assert client.engine.receive(b"\x17\x03\x03\xff\xff") == b""
    assert state_of(client.engine) is State.CLOSED
    assert client.engine.ending is not None
    assert client.engine.ending.code == 282


@both_versions
def test_status(
    context: ServerContext, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    silent = connect(context, calls, authority, version)
    assert silent.engine.take_status() == []
    traced = connect(context, calls, authority, version, is_traced=True)
    lines = traced.engine.take_status()
    assert lines[0] == "handshake started"
    assert lines.count("handshake completed") == 1
    assert "SSLv3/TLS read client hello" in lines
    assert traced.engine.take_status() == []


def test_status_tells_alerts(context: ServerContext, calls: Calls) -> None:
    engine = TLSEngine(context, calls, is_traced=True)
    StdlibClient(client_context(trustme.CA()), engine).handshake()
    assert "alert received: fatal unknown_ca" in engine.take_status()


@both_versions
def test_packets_in_the_status(
    leaf: trustme.LeafCert, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    """LogSSLPackets: names and sizes, never application data."""
    logging = contexts.build(dataclasses.replace(config_of(leaf), log_packets=True))
    client = connect(logging, calls, authority, version)
    lines = client.engine.take_status()
    assert any("received: 0x0301 Handshake ClientHello" in line for line in lines) or any(
        "Handshake ClientHello" in line for line in lines
    )
    assert any("packet sent" in line and "ServerHello" in line for line in lines)
    client.send(b"secret")
    client.engine.send(b"secret")
    assert client.engine.take_status() == []
    client.engine.close()
    assert client.engine.take_status()[-1].endswith("Alert warning close_notify")


def test_a_closed_connection_leaves_no_memory_behind(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    """No cycle holds the SSL object (34 KiB), even with the collector off."""
    client = connect(context, calls, authority, is_traced=True)
    assert client.engine._connection is not None
    watched = weakref.ref(client.engine._connection)
    gc.disable()
    try:
        client.engine.close()
        assert watched() is None
    finally:
        gc.enable()


def test_counter_and_engine_agree_after_a_handshake_in_slices(
    context: ServerContext, calls: Calls, authority: trustme.CA
) -> None:
    client = connect(context, calls, authority)
    assert isinstance(client.engine._records, RecordCounter)
    big = client.write(b"x" * 200_000)
    assert len(client.engine.receive(big)) == 200_000
    assert client.send(b"after") == b"after"
