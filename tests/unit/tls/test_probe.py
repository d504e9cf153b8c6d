"""The handshake in memory that proves a context."""

import pytest
from OpenSSL import SSL

from shardws.tls import ffi, probe, protocols
from shardws.tls.contexts import ServerContext


@pytest.mark.parametrize("version", [protocols.TLS12, protocols.TLS13])
def test_handshake(context: ServerContext, version: protocols.Version) -> None:
    server, client = probe.handshake(context.modern, version)
    for side in (server, client):
        assert side.get_protocol_version_name() == version.name
    client.send(b"x")
    server.bio_write(client.bio_read(100))
    assert server.recv(10) == b"x"
    with pytest.raises(SSL.WantReadError):
        client.recv(10)


def test_without_private_calls(context: ServerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffi, "has_private", lambda *names: False)
    probe.handshake(context.modern, protocols.TLS13)


def test_a_context_without_certificate() -> None:
    with pytest.raises(SSL.Error) as caught:
        probe.handshake(SSL.Context(SSL.TLS_SERVER_METHOD), protocols.TLS13)
    assert probe.reason(caught.value) != "no reason given"


def test_a_handshake_that_does_not_end(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_advance", lambda side, other: False)
    with pytest.raises(SSL.Error, match="does not end"):
        probe.handshake(context.modern, protocols.TLS13)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SSL.Error([("SSL routines", "", "one"), ("SSL routines", "", "two")]), "one; two"),
        (SSL.Error([]), "no reason given"),
        (SSL.Error(), "no reason given"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "no reason given"),
    ],
)
def test_reason(error: SSL.Error, text: str) -> None:
    assert probe.reason(error) == text
