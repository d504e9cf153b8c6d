"""The verification of a client certificate: OpenSSL's callbacks become one decision.

Owns the errors that SSLSecurityFlags ignore and the collection of callbacks. Facts: OpenSSL calls
once for each error and once for each good certificate, root first; the last call is always for the
leaf (depth 0) without error. So errors are collected, and the decision is made at that last call.
An error that was overruled is recorded here, since OpenSSL's own verify result is 0 afterwards.
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shardws.tls import ffi, subjects

# SSLSecurityFlags bit -> X509_V_ERR numbers that it ignores.
IGNORED: Final[dict[int, frozenset[int]]] = {
    0x01: frozenset({9, 10}),  # not yet valid, expired
    0x10: frozenset({2, 18, 19, 20, 21}),  # issuer unknown, self-signed
    0x20: frozenset({26}),  # not for client authentication
    0x100: frozenset({3}),  # revocation list missing; the next ones not yet valid, expired, ...
    0x200: frozenset({11}),
    0x400: frozenset({12}),
    0x800: frozenset({33, 36}),
}
MAX_CHAIN: Final = 16
NONE_PRESENTED: Final = "the client presented no certificate"
UNSPECIFIED: Final = 1  # X509_V_ERR_UNSPECIFIED: OpenSSL does not verify a missing certificate


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The content of SSLClientAuthentication; `is_trusted` presets its `accept`."""

    encoded: bytes  # PEM of the leaf; with SSLIncludeCertChain of the verified chain behind it
    subject: str
    issuer: str
    status: str  # "OK", or the reason: OpenSSL's text, or NONE_PRESENTED
    error: int  # X509_V_ERR number behind the status, 0 for "OK"
    ignored: tuple[str, ...]  # errors that a security flag ignored: to be logged as warnings

    @property
    def is_trusted(self) -> bool:
        return not self.error


def absent(is_required: bool) -> ClientCertificate:
    """Return the finding for a client that presented no certificate."""
    return ClientCertificate(b"", "", "", NONE_PRESENTED, UNSPECIFIED if is_required else 0, ())


def ignored_errors(flags: int) -> frozenset[int]:
    """Return the verification errors that a mask of SSLSecurityFlags ignores."""
    return frozenset().union(*(errors for bit, errors in IGNORED.items() if flags & bit))


class Verification:
    """Collects one verification."""

    __slots__ = ("_chain", "_error", "_ignored")

    def __init__(self) -> None:
        self._chain: dict[int, x509.Certificate] = {}
        self._error = 0
        self._ignored: list[int] = []

    def add(
        self, certificate: x509.Certificate, error: int, depth: int, ignored: frozenset[int]
    ) -> None:
        """Note one callback; the first error that is not ignored is the one reported."""
        if depth < MAX_CHAIN:
            self._chain[depth] = certificate
        if error and error in ignored:
            self._ignored.append(error)
        elif error and not self._error:
            self._error = error

    def conclude(self, is_chain_wanted: bool) -> ClientCertificate:
        """Return the finding; the leaf was seen."""
        leaf = self._chain[0]
        shown = [self._chain[depth] for depth in sorted(self._chain)] if is_chain_wanted else [leaf]
        return ClientCertificate(
            encoded=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in shown),
            subject=subjects.format_name(leaf.subject),
            issuer=subjects.format_name(leaf.issuer),
            status=ffi.verify_text(self._error) if self._error else "OK",
            error=self._error,
            ignored=tuple(ffi.verify_text(error) for error in dict.fromkeys(self._ignored)),
        )
