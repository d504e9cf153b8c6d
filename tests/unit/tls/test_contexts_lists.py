"""Suites, groups and signature algorithms of a context, shown by a client of the stdlib."""

import ssl

import pytest
import trustme

from shardws.tls import probe, protocols
from shardws.tls.contexts import ServerContext
from tests.unit.tls.stdlib_client import (
    TLS12,
    TLS13,
    client_context,
    handshake,
    is_accepted,
    server_context,
    setup_error,
)


def test_suites_of_one_version_end_the_other(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    """An empty TLS 1.3 list would fail every modern client instead of falling back."""
    context = server_context(leaf, enabled_cipher_suites="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    assert context.protocols == ("TLSv1.2",)
    assert any("TLSv1.3 is not offered" in line for line in context.warnings)
    modern = client_context(authority, TLS13)
    modern.minimum_version = TLS12
    assert is_accepted(context, modern)
    assert server_context(leaf, enabled_cipher_suites="TLS_AES_128_GCM_SHA256").protocols == (
        "TLSv1.3",
    )
    code, text = setup_error(
        leaf, enabled_cipher_suites="TLS_AES_128_GCM_SHA256", enabled_protocols=3072
    )
    assert code == 274
    assert "TLSv1.2" in text


def test_suites_that_do_not_fit_the_key_are_refused(leaf: trustme.LeafCert) -> None:
    code, text = setup_error(
        leaf, cipher_list="ECDHE-RSA-AES128-GCM-SHA256", enabled_protocols=3072
    )
    assert code == 274
    assert "TLSv1.2 cannot be served" in text
    assert "no shared cipher" in text


def test_the_operators_order_counts(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    client = client_context(authority, TLS12)
    first = "ECDHE-ECDSA-AES128-GCM-SHA256"
    second = "ECDHE-ECDSA-AES256-GCM-SHA384"
    client.set_ciphers(f"{second}:{first}")
    for server_list, winner in ((f"{second}:{first}", second), (f"{first}:{second}", first)):
        peer = handshake(server_context(leaf, cipher_list=server_list), client)
        assert peer.engine.negotiated is not None
        assert peer.engine.negotiated.cipher == winner


def test_strength(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    peer = handshake(server_context(leaf, cipher_strength=256), client_context(authority))
    assert peer.engine.negotiated is not None
    assert peer.engine.negotiated.cipher_bits == 256
    assert setup_error(leaf, cipher_strength=512)[0] == 274


def key_exchange(context: ServerContext, client: ssl.SSLContext) -> str:
    engine = handshake(context, client).engine
    assert engine.negotiated is not None
    return engine.negotiated.key_exchange


def test_groups(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    context = server_context(leaf, tls12_groups="ecdhe_secp384r1", tls13_groups="P-384")
    assert not context.needs_hello
    for version in (TLS12, TLS13):
        assert key_exchange(context, client_context(authority, version)) == "secp384r1"


def test_groups_by_version(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    context = server_context(leaf, tls12_groups="secp384r1,secp256r1", tls13_groups="secp521r1")
    assert context.needs_hello
    assert key_exchange(context, client_context(authority, TLS12)) == "secp384r1"
    assert key_exchange(context, client_context(authority, TLS13)) == "secp521r1"


def test_lists_of_a_version_that_is_off_do_not_count(leaf: trustme.LeafCert) -> None:
    for mask in (3072, 12288):
        context = server_context(
            leaf, tls12_groups="P-384", tls13_groups="P-521", enabled_protocols=mask
        )
        assert not context.needs_hello


def test_the_older_variant_marks_its_answers(leaf: trustme.LeafCert) -> None:
    """RFC 8446 4.1.3: else a downgrade of a modern client would go unseen."""
    context = server_context(leaf, tls12_groups="P-384,P-256")
    assert context.legacy is not None
    server, _ = probe.handshake(context.legacy, protocols.TLS12)
    assert (server.server_random() or b"").endswith(b"DOWNGRD\x01")


def test_signatures(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    context = server_context(
        leaf, tls12_signatures="ecdsa-sha256", tls13_signatures="ecdsa_secp256r1_sha256"
    )
    for version in (TLS12, TLS13):
        assert is_accepted(context, client_context(authority, version))


@pytest.mark.parametrize(
    "settings",
    [
        {"tls13_signatures": "ecdsa_secp384r1_sha384"},
        {"tls12_signatures": "rsa-sha256"},
    ],
)
def test_lists_that_do_not_fit_are_refused(
    leaf: trustme.LeafCert, settings: dict[str, str]
) -> None:
    """OpenSSL takes them, and drops to TLS 1.2 or refuses every client."""
    code, text = setup_error(leaf, **settings)
    assert code == 276
    assert "cannot be served" in text


def test_key_shares_have_no_effect_but_are_checked(leaf: trustme.LeafCert) -> None:
    server_context(
        leaf, tls13_groups="x25519,P-256", tls13_key_shares="P-256", tls12_groups="x25519,P-256"
    )
    assert setup_error(leaf, tls13_groups="x25519", tls13_key_shares="P-256")[0] == 276


def test_our_order_counts_but_for_clients_that_prefer_chacha(
    leaf: trustme.LeafCert, authority: trustme.CA
) -> None:
    strong, cheap = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
    chacha = "ECDHE-ECDSA-CHACHA20-POLY1305"
    for offered, agreed in (
        ((strong, chacha, cheap), cheap),
        ((chacha, strong, cheap), chacha),
    ):
        client = client_context(authority, TLS12)
        client.set_ciphers(":".join(offered))
        peer = handshake(server_context(leaf), client)
        assert peer.engine.negotiated is not None
        assert peer.engine.negotiated.cipher == agreed
