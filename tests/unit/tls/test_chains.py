"""Chains: issuers in order, no root, no strangers."""

import datetime

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from shardws.tls import chains
from shardws.tls.containers import KEY_TYPES
from tests.unit.tls.stdlib_client import EC, HOST


def certificates(blob: trustme.LeafCert) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem.bytes()) for pem in blob.cert_chain_pems]


def root_of(authority: trustme.CA) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.cert_pem.bytes())


def test_issuers_in_order_without_root_and_strangers(
    authority: trustme.CA, intermediate: trustme.CA, leaf: trustme.LeafCert
) -> None:
    second = intermediate.create_child_ca(key_type=EC)
    deep = second.issue_cert(HOST, key_type=EC)
    end = certificates(deep)[0]
    pool = [
        *certificates(leaf),
        root_of(authority),
        root_of(trustme.CA(key_type=EC)),
        root_of(intermediate),
        root_of(second),
        end,
    ]
    assert chains.build(end, pool) == (root_of(second), root_of(intermediate))


def test_a_missing_issuer_ends_the_chain(
    authority: trustme.CA, deep_leaf: trustme.LeafCert
) -> None:
    assert chains.build(certificates(deep_leaf)[0], [root_of(authority)]) == ()


def test_a_self_signed_leaf_has_no_chain(authority: trustme.CA) -> None:
    root = root_of(authority)
    assert chains.build(root, [root]) == ()


def test_a_namesake_that_did_not_sign_is_a_stranger(
    intermediate: trustme.CA, deep_leaf: trustme.LeafCert
) -> None:
    """Two CAs of one name, as after a renewed key: the signature decides."""
    name = root_of(intermediate).subject
    namesake = sign(name, name)
    end = certificates(deep_leaf)[0]
    assert chains.build(end, [namesake, root_of(intermediate)]) == (root_of(intermediate),)


def test_certificates_that_sign_each_other_end() -> None:
    """A loop of two names (cross-signed in both directions) must not be followed for ever."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in "ab"]
    keys = [ed25519.Ed25519PrivateKey.generate() for _ in names]
    one = sign(names[0], names[1], keys[0], keys[1])
    two = sign(names[1], names[0], keys[1], keys[0])
    assert chains.build(one, [one, two]) == (two, one)


def test_a_public_key_of_an_unknown_kind_fits_nothing(leaf: trustme.LeafCert) -> None:
    certificate = certificates(leaf)[0]
    oid = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey
    der = certificate.public_bytes(Encoding.DER).replace(oid, bytes.fromhex("06072a8648ce3d027f"))
    assert chains.public_key(x509.load_der_x509_certificate(der)) == b""


def test_leaves_are_found_by_public_key(
    leaf: trustme.LeafCert, deep_leaf: trustme.LeafCert
) -> None:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, KEY_TYPES)
    pool = [*certificates(deep_leaf), *certificates(leaf)]
    assert chains.leaves(key, pool) == tuple(certificates(leaf))


def sign(
    subject: x509.Name,
    issuer: x509.Name,
    key: ed25519.Ed25519PrivateKey | None = None,
    signer: ed25519.Ed25519PrivateKey | None = None,
) -> x509.Certificate:
    key = key or ed25519.Ed25519PrivateKey.generate()
    return builder_of(key.public_key(), subject, issuer).sign(signer or key, None)


def builder_of(
    key: CertificatePublicKeyTypes,
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
) -> x509.CertificateBuilder:
    nobody = x509.Name([])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    end = start + datetime.timedelta(days=1)
    return x509.CertificateBuilder(issuer or nobody, subject or nobody, key, 1, start, end)
