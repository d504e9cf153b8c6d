"""Certificate stores: every kind, and the choice by subject."""

import base64
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)

from shardws.errors import TLSSetupError
from shardws.tls import stores, subjects
from shardws.tls.containers import KEY_TYPES
from tests.unit.tls.stdlib_client import EC, HOST, RSA, pem_of


def first(leaf: trustme.LeafCert) -> x509.Certificate:
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())


def pfx_of(leaf: trustme.LeafCert) -> bytes:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, KEY_TYPES)
    return pkcs12.serialize_key_and_certificates(b"n", key, first(leaf), None, NoEncryption())


def refusal(value: str | bytes, kind: int = 99, code: int = 271) -> str:
    with pytest.raises(TLSSetupError) as caught:
        stores.select(stores.load(value, kind))
    assert caught.value.code == code
    return caught.value.description


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *((kind, "Windows") for kind in (0, 1)),
        *((kind, "no X.509 certificate") for kind in (10, 13, 14, 15, 16, 17, 18, 19)),
        (20, "hardware token"),
        (21, "BCFKS"),
        (22, "BCFKS"),
        (23, "unknown"),
        (-1, "unknown"),
    ],
)
def test_kinds_that_cannot_be_tell_the_reason(kind: int, words: str) -> None:
    assert words in refusal(b"x", kind)


def test_every_kind_is_readable_or_tells_why() -> None:
    for kind, row in stores.KINDS.items():
        assert (row.read is None) == bool(row.refusal), kind
    for file_kind, blob_kind in stores.BLOB_KINDS.items():
        assert stores.KINDS[file_kind].is_file
        assert stores.KINDS[file_kind].read is stores.KINDS[blob_kind].read


def test_an_empty_store_is_told() -> None:
    assert "SSLCertStore is empty" in refusal("")


@pytest.mark.parametrize("kind", [7, 99])
def test_blobs_as_bytes_and_text(leaf: trustme.LeafCert, kind: int) -> None:
    for value in (pem_of(leaf), pem_of(leaf).decode()):
        assert stores.load(value, kind).entries[0].leaf == first(leaf)


def test_a_blob_as_base64(leaf: trustme.LeafCert) -> None:
    text = base64.encodebytes(pfx_of(leaf)).decode()
    assert stores.load(text, 3).entries[0].leaf == first(leaf)
    assert "neither PEM nor base64" in refusal("nonsense!", 3)
    assert "neither PEM nor base64" in refusal("ä", 3)


@pytest.mark.parametrize("kind", [6, 99])
def test_files(leaf: trustme.LeafCert, tmp_path: Path, kind: int) -> None:
    path = tmp_path / "store.pem"
    path.write_bytes(pem_of(leaf))
    for value in (str(path), str(path).encode()):
        assert stores.load(value, kind).entries[0].leaf == first(leaf)
    assert "No such file" in refusal(str(tmp_path / "missing"), kind)
    assert "neither a path nor" in refusal(b"\xff\xfe/a", kind)


def test_an_error_names_the_store_but_no_password(tmp_path: Path) -> None:
    path = tmp_path / "store.pfx"
    path.write_bytes(b"\x30\x03\x02\x01\x03")
    with pytest.raises(TLSSetupError) as caught:
        stores.load(str(path), 2, "geheim")
    assert str(path) in caught.value.description
    assert "geheim" not in caught.value.description


def test_content_of_another_kind_is_refused(leaf: trustme.LeafCert) -> None:
    assert "PFX blob in memory" in refusal(pem_of(leaf), 3)
    assert "PEM blob in memory" in refusal(pfx_of(leaf), 7)
    assert "JKS blob in memory" in refusal(b"\xfe\xed\xfe\xed", 5)


def test_certificates_alone_are_no_server_store(leaf: trustme.LeafCert) -> None:
    bundle = pkcs7.serialize_certificates([first(leaf)], Encoding.DER)
    assert "no private key" in refusal(bundle, 12, 272)
    assert "no private key" in refusal(first(leaf).public_bytes(Encoding.DER), 9, 272)
    assert "no certificate" in refusal(leaf.private_key_pem.bytes(), 7, 272)
    assert len(stores.load(bundle, 12).certificates) == 1


def test_entries_have_their_chain(deep_leaf: trustme.LeafCert, intermediate: trustme.CA) -> None:
    store = stores.load(pem_of(deep_leaf))
    (entry,) = store.entries
    assert entry.leaf == first(deep_leaf)
    assert [c.subject for c in entry.chain] == [entry.leaf.issuer]
    assert entry.chain_pem == intermediate.cert_pem.bytes()
    assert entry.pem == deep_leaf.cert_chain_pems[0].bytes()
    assert "PRIVATE" not in repr(store)
    assert "key=" not in repr(entry)


@pytest.fixture(scope="module")
def three(authority: trustme.CA) -> stores.Store:
    issued = [
        authority.issue_cert(f"{name}.example.org", common_name=name, organization_name=f"O-{name}")
        for name in ("alpha", "beta", "beta-two")
    ]
    return stores.load(b"".join(pem_of(leaf) for leaf in issued))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("*", "alpha"),
        ("", "alpha"),
        ("CN=beta", "beta"),
        ("beta-two", "beta-two"),
        ("O=O-beta-two", "beta-two"),
        ("BETA", "beta"),
    ],
)
def test_select_by_subject(three: stores.Store, wanted: str, found: str) -> None:
    assert f"CN={found}," in stores.select(three, wanted).subject + ","


def test_exact_comes_before_within(three: stores.Store) -> None:
    """The subject of the third is given: the second, whose name is a part of it, must not win."""
    wanted = ", ".join(reversed(three.entries[2].subject.split(", ")))
    assert stores.select(three, wanted) is three.entries[2]


def test_no_match_lists_what_is_there(three: stores.Store) -> None:
    with pytest.raises(TLSSetupError, match=r"no certificate matches 'gamma'.*CN=alpha") as caught:
        stores.select(three, "gamma")
    assert caught.value.code == 272


def test_select_by_certificate(three: stores.Store, leaf: trustme.LeafCert) -> None:
    wanted = three.entries[1]
    for encoded in (wanted.pem, base64.b64encode(wanted.leaf.public_bytes(Encoding.DER))):
        assert stores.select_encoded(three, encoded).leaf == wanted.leaf
    with pytest.raises(TLSSetupError, match="no private key for the certificate") as caught:
        stores.select_encoded(three, pem_of(leaf))
    assert caught.value.code == 272
    with pytest.raises(TLSSetupError, match="holds no certificate"):
        stores.select_encoded(three, leaf.private_key_pem.bytes())


def test_companions_are_of_other_key_types_for_the_same_names(
    leaf: trustme.LeafCert, rsa_leaf: trustme.LeafCert, authority: trustme.CA
) -> None:
    stranger = authority.issue_cert("other.example.org", key_type=RSA)
    second = authority.issue_cert(HOST, key_type=EC)
    blob = b"".join(pem_of(c) for c in (stranger, leaf, second, rsa_leaf))
    store = stores.load(blob)
    entry = store.entries[1]
    assert entry.leaf == first(leaf)
    assert [c.leaf for c in stores.companions(store, entry)] == [first(rsa_leaf)]


def test_names_without_alternative_names_are_the_subject(authority: trustme.CA) -> None:
    root = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    assert stores.names_of(root) == {subjects.format_name(root.subject)}
