"""The calls below pyOpenSSL's surface, and what replaces them."""

import pytest
import trustme
from OpenSSL import SSL

from shardws.errors import TLSSetupError
from shardws.tls import ffi, probe, protocols, stores
from shardws.tls.contexts import ServerContext
from shardws.tls.ffi import RECORD, Calls, DirectCalls
from tests.unit.tls.stdlib_client import pem_of


class Nothing:
    """An OpenSSL library without any private name."""


def fresh() -> SSL.Context:
    return SSL.Context(SSL.TLS_SERVER_METHOD)


def test_all_names_are_there_today() -> None:
    assert ffi.has_private(*ffi.NAMES)
    connection = SSL.Connection(fresh())
    for name in ffi.HANDLES:
        assert hasattr(connection, name)


@pytest.mark.parametrize("version", [protocols.TLS12, protocols.TLS13])
@pytest.mark.parametrize("size", [1, 125, RECORD - 1, RECORD])
def test_seal_and_read(
    context: ServerContext, calls: Calls, version: protocols.Version, size: int
) -> None:
    server, client = probe.handshake(context.modern, version)
    data = bytes(range(256)) * (size // 256 + 1)
    client.bio_write(calls.seal(server, data[:size]))
    assert client.recv(RECORD) == data[:size]
    client.send(data[:size])
    calls.feed(server, client.bio_read(65536))
    assert calls.read(server) == data[:size]
    with pytest.raises(SSL.WantReadError):
        calls.read(server)
    assert calls.drain(server) == b""


def test_seal_takes_along_what_was_waiting(context: ServerContext, calls: Calls) -> None:
    """Else a record before it in the BIO would push the rest of this one out of the answer."""
    server, client = probe.handshake(context.modern, protocols.TLS13)
    first, second = b"a" * RECORD, b"b" * RECORD
    server.send(first)
    client.bio_write(calls.seal(server, second))
    assert client.recv(RECORD) + client.recv(RECORD) == first + second
    assert calls.drain(server) == b""


def test_errors_are_those_of_the_public_calls(context: ServerContext, calls: Calls) -> None:
    server, client = probe.handshake(context.modern, protocols.TLS13)
    client.send(b"x" * 50)
    record = bytearray(client.bio_read(1000))
    record[-1] ^= 1
    calls.feed(server, bytes(record))
    with pytest.raises(SSL.Error) as caught:
        calls.read(server)
    assert "bad record mac" in probe.reason(caught.value)
    assert calls.drain(server) != b""
    with pytest.raises(SSL.Error):
        calls.seal(server, b"x")


def test_peers_close_notify(context: ServerContext, calls: Calls) -> None:
    server, client = probe.handshake(context.modern, protocols.TLS13)
    client.shutdown()
    calls.feed(server, client.bio_read(1000))
    with pytest.raises(SSL.ZeroReturnError):
        calls.read(server)


def test_a_result_without_error_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = SSL.Connection(fresh())
    monkeypatch.setattr(connection, "_raise_ssl_error", lambda ssl, result: None)
    with pytest.raises(SSL.Error, match="result 0"):
        ffi._raise(connection, 0)


def test_a_bio_that_takes_or_gives_nothing_is_told(context: ServerContext) -> None:
    server, _ = probe.handshake(context.modern, protocols.TLS13)
    calls = DirectCalls()
    calls._take = lambda *_: -1
    with pytest.raises(SSL.Error, match="no record"):
        calls.seal(server, b"x")
    calls._give = lambda *_: -1
    with pytest.raises(MemoryError):
        calls.feed(server, b"x")


def test_lists_that_openssl_refuses_leave_no_error_behind(context: ServerContext) -> None:
    """An error left in the queue turns the next WantRead into a failure."""
    with pytest.raises(TLSSetupError, match="refuses the groups nonsense") as caught:
        ffi.set_groups(fresh(), ("nonsense",))
    assert caught.value.code == 276
    with pytest.raises(TLSSetupError, match="refuses the signature algorithms"):
        ffi.set_signatures(fresh(), ("RSA+MD5",))
    server, _ = probe.handshake(context.modern, protocols.TLS13)
    with pytest.raises(SSL.WantReadError):
        DirectCalls().read(server)


def test_without_private_names(monkeypatch: pytest.MonkeyPatch, context: ServerContext) -> None:
    server, _ = probe.handshake(context.modern, protocols.TLS13)
    monkeypatch.setattr(ffi, "_lib", Nothing())
    assert not ffi.has_private("SSL_read")
    for call in (ffi.set_groups, ffi.set_signatures):
        with pytest.raises(TLSSetupError) as caught:
            call(fresh(), ("x25519",))
        assert caught.value.code == 270
    with pytest.raises(TLSSetupError) as caught:
        ffi.set_packet_listener(fresh(), lambda *_: None)
    assert caught.value.code == 270
    assert ffi.is_resumed(server) is False
    assert ffi.verify_text(10) == "verification error 10"
    assert ffi.explain_refusals(fresh(), 0, lambda _: 0) is None
    ffi.add_entropy(b"seed")


def test_verify_text_and_entropy() -> None:
    assert ffi.verify_text(10) == "certificate has expired"
    ffi.add_entropy(b"seed")


def test_explain_refusals_needs_a_callback() -> None:
    assert ffi.explain_refusals(fresh(), SSL.VERIFY_PEER, lambda _: 0) is None


def test_packets_are_told_without_content(leaf: trustme.LeafCert) -> None:
    told: list[tuple[int, int, bytes]] = []
    base = fresh()
    entry = stores.load(pem_of(leaf)).entries[0]
    base.use_certificate(entry.leaf)
    base.use_privatekey(entry.key)

    def listen(_: SSL.Connection, out: int, version: int, kind: int, head: bytes) -> None:
        told.append((out, kind, head))

    kept = ffi.set_packet_listener(base, listen)
    assert kept is not None
    server, client = probe.handshake(base, protocols.TLS13)
    client.send(b"secret" * 10)
    server.bio_write(client.bio_read(1000))
    assert server.recv(100) == b"secret" * 10
    assert (0, 22, b"\x01") in [(out, kind, head[:1]) for out, kind, head in told]
    assert all(len(head) <= 4 for _, _, head in told)
    assert all(head == b"" for _, kind, head in told if kind not in (20, 21, 22))


def test_addresses_for_c(context: ServerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the functions have the types that C takes them for."""
    server, _ = probe.handshake(context.modern, protocols.TLS13)
    found = DirectCalls().pointers(server)
    assert len(set(found)) == len(found) == 7
    assert all(found)
    assert Calls().pointers(server) == ()
    changed = ffi.CALLED_FROM_C | {"SSL_read": "int(*)(SSL *, void *, size_t)"}
    monkeypatch.setattr(ffi, "CALLED_FROM_C", changed)
    assert DirectCalls().pointers(server) == ()
    monkeypatch.setattr(ffi, "CALLED_FROM_C", {"SSL_gone": ""})
    assert DirectCalls().pointers(server) == ()
