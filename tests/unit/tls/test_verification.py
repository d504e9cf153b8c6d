"""The judgement on a client certificate, without a handshake."""

import pytest
import trustme
from cryptography import x509

from shardws.tls import verification
from shardws.tls.verification import MAX_CHAIN, Verification

NONE: frozenset[int] = frozenset()


@pytest.fixture(scope="module")
def chain(deep_leaf: trustme.LeafCert) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem.bytes()) for pem in deep_leaf.cert_chain_pems]


def test_a_good_one(chain: list[x509.Certificate]) -> None:
    seen = Verification()
    seen.add(chain[1], 0, 1, NONE)
    seen.add(chain[0], 0, 0, NONE)
    found = seen.conclude(False)
    assert found.status == "OK"
    assert found.is_trusted
    assert found.encoded.count(b"BEGIN") == 1
    assert "CN=deep" in found.subject
    assert found.issuer != found.subject
    assert found.ignored == ()


def test_the_chain_comes_leaf_first(chain: list[x509.Certificate]) -> None:
    seen = Verification()
    seen.add(chain[1], 0, 1, NONE)
    seen.add(chain[0], 0, 0, NONE)
    assert x509.load_pem_x509_certificates(seen.conclude(True).encoded) == chain


def test_the_first_error_is_reported(chain: list[x509.Certificate]) -> None:
    seen = Verification()
    for error in (20, 21, 0):
        seen.add(chain[0], error, 0, NONE)
    found = seen.conclude(False)
    assert not found.is_trusted
    assert found.status == "unable to get local issuer certificate"


def test_ignored_errors_stay_on_record(chain: list[x509.Certificate]) -> None:
    seen = Verification()
    for error in (10, 10, 0):
        seen.add(chain[0], error, 0, verification.ignored_errors(0x1))
    found = seen.conclude(False)
    assert found.is_trusted
    assert found.status == "OK"
    assert found.ignored == ("certificate has expired",)


def test_a_flag_ignores_its_errors_only(chain: list[x509.Certificate]) -> None:
    seen = Verification()
    seen.add(chain[0], 10, 0, verification.ignored_errors(0x10))
    assert not seen.conclude(False).is_trusted


@pytest.mark.parametrize(
    ("flags", "errors"),
    [(0, set()), (0x1, {9, 10}), (0x10, {2, 18, 19, 20, 21}), (0x21, {9, 10, 26}), (0x40, set())],
)
def test_flags(flags: int, errors: set[int]) -> None:
    assert verification.ignored_errors(flags) == errors


def test_an_endless_chain_is_bounded(chain: list[x509.Certificate]) -> None:
    seen = Verification()
    for depth in range(MAX_CHAIN + 5, -1, -1):
        seen.add(chain[0], 0, depth, NONE)
    assert seen.conclude(True).encoded.count(b"BEGIN") == MAX_CHAIN
