"""Which certificates belong together: key and leaf, leaf and issuers.

Owns the matching. A chain holds what a client cannot be expected to have: the issuers found in the
store, without the root and unrelated certificates (RFC 8446 section 4.4.2). Dates are not checked:
an expired issuer is sent, since the operator put it there.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shardws.tls.containers import PrivateKey

MAX_DEPTH: Final = 10  # public chains are 2 or 3 long


def build(leaf: x509.Certificate, pool: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return the issuers of `leaf` found in `pool`, nearest first, without the root."""
    chain: list[x509.Certificate] = []
    below = leaf
    while len(chain) < MAX_DEPTH and not is_issued_by(below, below):
        issuer = next((c for c in pool if c not in chain and is_issued_by(below, c)), None)
        if issuer is None or is_issued_by(issuer, issuer):
            break
        chain.append(issuer)
        below = issuer
    return tuple(chain)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether name and signature of `issuer` match; a key of unknown type never does."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def leaves(
    key: PrivateKey, certificates: Iterable[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Return the certificates made for this key: their public keys are equal."""
    wanted = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return tuple(c for c in certificates if public_key(c) == wanted)


def public_key(certificate: x509.Certificate) -> bytes:
    """Return the public key as SubjectPublicKeyInfo, or nothing for a key of an unknown kind."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
