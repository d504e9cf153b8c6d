"""From configuration to context: each TLS setting, shown by a client of the stdlib."""

import dataclasses
import ssl
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from shardws.errors import TLSSetupError
from shardws.tls import contexts
from shardws.tls.config import TLSConfig
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.engine import State, TLSEngine
from tests.unit.tls.stdlib_client import (
    CALLS,
    EC,
    HOST,
    TLS12,
    TLS13,
    VERSIONS,
    client_context,
    config_of,
    handshake,
    is_accepted,
    pem_of,
    server_context,
    setup_error,
)
from tests.unit.tls.test_chains import builder_of


def test_defaults(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    context = server_context(leaf)
    assert context.protocols == ("TLSv1.2", "TLSv1.3")
    assert context.warnings == ()
    assert not context.needs_hello
    assert not context.needs_witness
    assert context.facts[0].names == (HOST,)
    for version in (TLS12, TLS13):
        assert is_accepted(context, client_context(authority, version))


def test_secrets_do_not_stay(leaf: trustme.LeafCert) -> None:
    config = dataclasses.replace(config_of(leaf), cert_store_password="geheim")
    assert "geheim" not in repr(config)
    assert "PRIVATE" not in repr(config)
    context = contexts.build(config)
    assert context.config.cert_store == ""
    assert context.config.cert_store_password == ""


@pytest.mark.parametrize("provider", ["*", "", "Automatic", "platform", "Internal", "OpenSSL", "2"])
def test_providers(leaf: trustme.LeafCert, provider: str) -> None:
    server_context(leaf, provider=provider)


def test_another_provider_is_refused(leaf: trustme.LeafCert) -> None:
    code, text = setup_error(leaf, provider="Schannel")
    assert code == 270
    assert "'Schannel'" in text


def test_no_certificate() -> None:
    with pytest.raises(TLSSetupError) as caught:
        contexts.build(TLSConfig())
    assert caught.value.code == 271
    with pytest.raises(TLSSetupError) as caught:
        contexts.build(TLSConfig(cert_store=b"x", cert_store_type=0))
    assert caught.value.code == 271


def test_subject_and_encoded_choose(leaf: trustme.LeafCert, deep_leaf: trustme.LeafCert) -> None:
    both = pem_of(leaf) + pem_of(deep_leaf)
    for setting in ({"cert_subject": "CN=deep"}, {"cert_encoded": pem_of(deep_leaf)}):
        config = dataclasses.replace(TLSConfig(cert_store=both), **setting)
        context = contexts.build(config)
        assert "CN=deep" in context.facts[0].subject
    code, _ = setup_error(leaf, cert_subject="CN=nobody")
    assert code == 272


def test_the_chain_is_sent(deep_leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    """The client knows the root only."""
    context = server_context(deep_leaf)
    assert context.facts[0].chain_length == 1
    assert is_accepted(context, client_context(authority))


def test_a_weak_key_is_told() -> None:
    key = rsa.generate_private_key(65537, 1024)
    certificate = builder_of(key.public_key()).sign(key, SHA256())
    pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(TLSSetupError, match="ee key too small") as caught:
        contexts.build(TLSConfig(cert_store=pem))
    assert caught.value.code == 272


@pytest.mark.parametrize("is_chain_shared", [True, False])
def test_ecdsa_and_rsa_side_by_side(
    authority: trustme.CA,
    intermediate: trustme.CA,
    leaf: trustme.LeafCert,
    rsa_leaf: trustme.LeafCert,
    is_chain_shared: bool,
) -> None:
    """One context presents both, each with its own chain and nothing else."""
    other = rsa_leaf
    if not is_chain_shared:
        other = intermediate.issue_cert(HOST, common_name="shard", key_type=trustme.KeyType.RSA)
    context = contexts.build(TLSConfig(cert_store=pem_of(leaf) + pem_of(other)))
    assert [fact.key for fact in context.facts] == ["EC secp256r1", "RSA 2048"]
    for suite, key, length in (
        ("ECDHE-ECDSA-AES128-GCM-SHA256", b"id-ec", 1),
        ("ECDHE-RSA-AES128-GCM-SHA256", b"rsa", 1 if is_chain_shared else 2),
    ):
        client = client_context(authority, TLS12)
        client.set_ciphers(suite)
        peer = handshake(context, client)
        assert peer.engine.state is State.OPEN, key
        assert len(sent_chain(context, suite)) == length


def sent_chain(context: ServerContext, suite: str) -> list[Any]:
    """Return the certificates that a server sends, as pyOpenSSL's client sees them."""
    client_side = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client_side.set_cipher_list(suite.encode())
    client_side.set_max_proto_version(SSL.TLS1_2_VERSION)
    client = SSL.Connection(client_side)
    client.set_connect_state()
    engine = TLSEngine(context, CALLS)
    for _ in range(5):
        try:
            client.do_handshake()
        except SSL.WantReadError:
            engine.receive(client.bio_read(65536))
            client.bio_write(engine.outgoing())
    return client.get_peer_cert_chain(as_cryptography=True) or []


@pytest.mark.parametrize(
    ("mask", "version", "is_open"),
    [
        (3072, TLS12, True),
        (3072, TLS13, False),
        (12288, TLS12, False),
        (12288, TLS13, True),
    ],
)
def test_enabled_protocols(
    leaf: trustme.LeafCert,
    authority: trustme.CA,
    mask: int,
    version: ssl.TLSVersion,
    is_open: bool,
) -> None:
    context = server_context(leaf, enabled_protocols=mask)
    assert is_accepted(context, client_context(authority, version)) is is_open


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_protocols_on_demand(
    leaf: trustme.LeafCert, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = client_context(authority, TLS12)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    assert not is_accepted(server_context(leaf), client)
    context = server_context(leaf, enabled_protocols=16320)
    assert is_accepted(context, client)
    assert any("security level is 0" in line for line in context.warnings)


def test_ssl3_is_refused(leaf: trustme.LeafCert) -> None:
    assert setup_error(leaf, enabled_protocols=0x30)[0] == 275


def test_trust(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    assert setup_error(leaf, ca_file="/missing")[0] == 273
    pem = authority.cert_pem.bytes().decode()
    assert server_context(leaf, authenticate_clients=True, ca_certs=pem).warnings == ()
    context = server_context(leaf, authenticate_clients=True, security_flags=0x1)
    assert any("no CA is trusted" in line for line in context.warnings)
    assert any("0x1 ignore" in line for line in context.warnings)
    assert context.ignored == {9, 10}


@pytest.mark.parametrize(("count", "is_named"), [(1, True), (33, False)])
def test_ca_names_are_told_to_clients_unless_many(
    leaf: trustme.LeafCert, count: int, is_named: bool
) -> None:
    authorities = [trustme.CA(key_type=EC) for _ in range(count)]
    pem = b"".join(ca.cert_pem.bytes() for ca in authorities).decode()
    context = server_context(leaf, authenticate_clients=True, ca_certs=pem)
    names = context.open(None).get_client_ca_list(as_cryptography=True)
    assert bool(names) is is_named


def test_alpn(leaf: trustme.LeafCert, authority: trustme.CA) -> None:
    context = server_context(leaf)
    for offered, selected in ((["h2", "http/1.1"], "http/1.1"), ([], None)):
        client = client_context(authority)
        if offered:
            client.set_alpn_protocols(offered)
        peer = handshake(context, client)
        assert peer.engine.state is State.OPEN
        assert peer.object.selected_alpn_protocol() == selected
        assert peer.engine.negotiated is not None
        assert peer.engine.negotiated.alpn == (selected or "")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_without_a_protocol_of_ours_gets_an_alert(
    leaf: trustme.LeafCert, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    """RFC 7301 section 3.2; it was served without a protocol, as if it had offered none."""
    context = server_context(leaf)
    client = client_context(authority, version)
    client.set_alpn_protocols(["h2", "http/1.0"])
    peer = handshake(context, client)
    assert "no application protocol" in str(peer.error).lower().replace("_", " ")
    assert peer.engine.state is State.CLOSED
    assert peer.engine.ending == Ending(
        280, "TLS handshake failed: the client offers no protocol (ALPN) but h2, http/1.0"
    )
    assert handshake(context, client_context(authority, version)).engine.state is State.OPEN


def test_an_alternative_uses_the_ticket_keys_of_the_first(
    leaf: trustme.LeafCert, deep_leaf: trustme.LeafCert
) -> None:
    parent = server_context(leaf)
    child = contexts.build(config_of(deep_leaf), parent)
    grandchild = contexts.build(config_of(leaf), child)
    assert child.parent is parent
    assert grandchild.parent is parent
    assert parent.parent is None
