"""Facts about certificates, for status."""

import dataclasses
import json

import pytest
import trustme

from shardws.tls import facts, stores
from tests.unit.tls.stdlib_client import HOST, pem_of
from tests.unit.tls.test_chains import sign


def test_describe(deep_leaf: trustme.LeafCert) -> None:
    entry = stores.load(pem_of(deep_leaf)).entries[0]
    found = facts.describe(entry)
    assert "CN=deep" in found.subject
    assert found.names == (HOST,)
    assert found.key == "EC secp256r1"
    assert found.chain_length == 1
    assert len(found.fingerprint) == 64
    assert int(found.serial, 16) == entry.leaf.serial_number
    assert found.not_before < found.not_after == entry.leaf.not_valid_after_utc.timestamp()
    assert found.issuer != found.subject
    json.dumps(dataclasses.asdict(found))


def test_days_left(leaf: trustme.LeafCert) -> None:
    found = facts.describe(stores.load(pem_of(leaf)).entries[0])
    assert found.days_left(found.not_after - 3 * 86400) == pytest.approx(3)
    assert found.days_left(found.not_after + 86400) == pytest.approx(-1)


def test_describe_key(rsa_leaf: trustme.LeafCert) -> None:
    certificate = stores.load(pem_of(rsa_leaf)).entries[0].leaf
    assert facts.describe_key(certificate) == "RSA 2048"
    assert facts.describe_key(sign(certificate.subject, certificate.subject)) == "Ed25519"
