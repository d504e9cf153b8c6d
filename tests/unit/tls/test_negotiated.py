"""The snapshot of a handshake (SSLNegotiated...), for each kind of key exchange."""

import dataclasses
import ssl

import pytest
import trustme

from shardws.tls import contexts, probe, protocols, selftest
from shardws.tls import negotiated as negotiated
from shardws.tls.contexts import ServerContext
from shardws.tls.engine import TLSEngine
from shardws.tls.negotiated import Negotiated
from tests.unit.tls.stdlib_client import HOST, TLS12, StdlibClient, client_context, config_of

CALLS = selftest.choose().calls


def agree(context: ServerContext, client: ssl.SSLContext) -> Negotiated:
    found = StdlibClient(client, TLSEngine(context, CALLS)).handshake().engine.negotiated
    assert found is not None
    return found


def test_tls_13(context: ServerContext, authority: trustme.CA) -> None:
    assert agree(context, client_context(authority)) == Negotiated(
        protocol="TLSv1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        suite="TLS_AES_128_GCM_SHA256",
        cipher_bits=128,
        key_exchange="x25519",
        key_exchange_bits=255,
        server_name=HOST,
        alpn="",
        is_resumed=False,
    )


@pytest.mark.parametrize(
    ("suite", "exchange", "bits"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", "x25519", 255),
        ("AES128-GCM-SHA256", "RSA", 2048),
    ],
)
def test_tls_12(
    rsa_leaf: trustme.LeafCert, authority: trustme.CA, suite: str, exchange: str, bits: int
) -> None:
    config = dataclasses.replace(config_of(rsa_leaf), cipher_list=suite)
    client = client_context(authority, TLS12)
    client.set_ciphers(suite)
    found = agree(contexts.build(config), client)
    assert (found.cipher, found.key_exchange, found.key_exchange_bits) == (suite, exchange, bits)
    assert found.suite.startswith("TLS_")
    assert found.cipher_bits == 128
    assert found.protocol == "TLSv1.2"


def test_ml_kem(context: ServerContext) -> None:
    """The stdlib's OpenSSL 3.0 has none, so the client is our own one."""
    server, _ = probe.handshake(context.modern, protocols.TLS13)
    found = negotiated.take(server)
    assert found.key_exchange.endswith("MLKEM768")
    assert found.key_exchange_bits == 768
    assert found.server_name == ""


def test_finite_fields(rsa_leaf: trustme.LeafCert) -> None:
    """Only clients that offer ffdhe groups (RFC 7919) get DHE in TLS 1.2: no DH file is set."""
    config = dataclasses.replace(config_of(rsa_leaf), cipher_list="DHE-RSA-AES128-GCM-SHA256")
    server, _ = probe.handshake(contexts.build(config).modern, protocols.TLS12)
    found = negotiated.take(server)
    assert (found.key_exchange, found.key_exchange_bits) == ("ffdhe2048", 2048)


def test_a_resumed_exchange_without_group(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = probe.handshake(context.modern, protocols.TLS12)
    monkeypatch.setattr(server, "get_group_name", lambda: None)
    found = negotiated.take(server)
    assert (found.key_exchange, found.key_exchange_bits) == ("ECDHE", 0)
