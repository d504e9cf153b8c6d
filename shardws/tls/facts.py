"""Facts about a certificate, as plain values for status, logs and metrics.

Owns the snapshot; holds no OpenSSL object, so it can be sent to other processes as JSON.
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from shardws.tls import stores, subjects

DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate that the server presents."""

    subject: str
    issuer: str
    names: tuple[str, ...]  # DNS names and addresses it is for
    serial: str  # hex
    fingerprint: str  # SHA-256, hex
    key: str  # "EC secp256r1", "RSA 2048", "Ed25519"
    not_before: int  # seconds since the epoch
    not_after: int
    chain_length: int  # certificates sent behind the leaf

    def days_left(self, now: float) -> float:
        """Return the days until it expires; negative when it has. `now`: seconds since epoch."""
        return (self.not_after - now) / DAY


def describe(entry: stores.Entry) -> CertificateFacts:
    leaf = entry.leaf
    return CertificateFacts(
        subject=entry.subject,
        issuer=subjects.format_name(leaf.issuer),
        names=tuple(sorted(stores.names_of(leaf))),
        serial=f"{leaf.serial_number:x}",
        fingerprint=leaf.fingerprint(SHA256()).hex(),
        key=describe_key(leaf),
        not_before=int(leaf.not_valid_before_utc.timestamp()),
        not_after=int(leaf.not_valid_after_utc.timestamp()),
        chain_length=len(entry.chain),
    )


def describe_key(leaf: x509.Certificate) -> str:
    key = leaf.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")
