"""Containers of certificates and keys: PEM, DER, PFX (PKCS 12), P7B (PKCS 7) and JKS bytes.

Owns reading one container of a known format, and detecting the format by content. Facts: recent
`keytool` versions write PKCS 12 into `.jks` files, so content takes precedence over names. A PFX
yields one key only; further leaves appear among its other certificates. Errors are TLSSetupError
271 with the reason.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)

from shardws.errors import TLSSetupError
from shardws.tls import jks

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)
KEY_TYPES: Final = (
    rsa.RSAPrivateKey,
    ec.EllipticCurvePrivateKey,
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
    dsa.DSAPrivateKey,
)

MAX_OBJECTS: Final = 4096  # a bundle of all public CAs holds about 150
PEM_MARK: Final = b"-----BEGIN "
PEM_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[\r\n \t].{0,1000000}?-----END \1-----", re.DOTALL
)
CERTIFICATE_LABELS: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
PKCS7_LABELS: Final = frozenset({b"PKCS7", b"CMS"})

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a container, in its order; keys never show in a repr."""

    certificates: tuple[x509.Certificate, ...] = ()
    keys: tuple[PrivateKey, ...] = ()

    def __repr__(self) -> str:
        return f"<Contents {len(self.certificates)} certificates, {len(self.keys)} keys>"


def read_any(data: bytes, password: str) -> Contents:
    """Read a container, detecting its format by content."""
    if PEM_MARK in data:
        return read_pem(data, password)
    if data.startswith((jks.MAGIC, jks.MAGIC_JCEKS)):
        return read_jks(data, password)
    if data.startswith(b"\x30"):
        return read_der(data, password)
    raise TLSSetupError(271, "neither PEM nor DER, PFX, P7B or JKS")


def read_pem(data: bytes, password: str) -> Contents:
    """Read all blocks of a PEM text; blocks of other kinds, such as parameters, are skipped."""
    certificates: list[x509.Certificate] = []
    keys: list[PrivateKey] = []
    for match in PEM_BLOCK.finditer(data):
        label, block = match[1], match[0]
        if label in CERTIFICATE_LABELS:
            text = block.replace(b" X509 CERTIFICATE-", b" CERTIFICATE-")
            certificates.append(_load("a certificate", x509.load_pem_x509_certificate, text))
        elif label.endswith(b"PRIVATE KEY"):
            keys.append(_pem_key(block, password))
        elif label in PKCS7_LABELS:
            text = block.replace(b" CMS-", b" PKCS7-")
            certificates += _load("a PKCS 7", pkcs7.load_pem_pkcs7_certificates, text)
        if len(certificates) + len(keys) > MAX_OBJECTS:
            raise TLSSetupError(271, f"more than {MAX_OBJECTS} certificates and keys")
    if not certificates and not keys:
        raise TLSSetupError(271, "no complete PEM block with a certificate or a key")
    return Contents(tuple(certificates), tuple(keys))


def read_der(data: bytes, password: str) -> Contents:
    """Read one DER object: the first element inside distinguishes PFX, P7B, key and certificate."""
    inner = _first_inside(data)
    if inner[:3] == b"\x02\x01\x03":
        return read_pfx(data, password)
    if inner[:1] == b"\x06":
        return read_p7b(data, password)
    if inner[:1] == b"\x02":
        return Contents(keys=(_der_key(data, password),))
    try:
        return Contents((x509.load_der_x509_certificate(data),))
    except ValueError as error:
        try:
            return Contents(keys=(_der_key(data, password),))  # an encrypted PKCS 8 key
        except TLSSetupError:
            raise TLSSetupError(271, "a damaged DER certificate or key") from error


def read_certificate(data: bytes) -> Contents:
    """Read certificates in PEM, DER, P7B, or as the bare base64 of one."""
    if data.startswith(b"\x30") or PEM_MARK in data:
        contents = read_any(data, "")
        return Contents(contents.certificates)
    try:
        der = base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        der = b""
    if not der.startswith(b"\x30"):
        raise TLSSetupError(271, "neither a PEM, DER nor base64 certificate")
    return read_certificate(der)


def read_pfx(data: bytes, password: str) -> Contents:
    """Read a PKCS 12 store; an empty password is tried as none and as an empty one."""
    for secret in (password.encode(),) if password else (None, b""):
        try:
            key, leaf, others = pkcs12.load_key_and_certificates(data, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            refusal = error
            continue
        certificates = (*((leaf,) if leaf else ()), *others)
        return Contents(certificates, (_usable(key),) if key else ())
    reason = "wrong password, or a damaged PFX store" if password else "a PFX store: no password"
    raise TLSSetupError(271, f"{reason} ({refusal})") from refusal


def read_p7b(data: bytes, password: str) -> Contents:
    """Read a PKCS 7 bundle, PEM or DER; it holds certificates only, so no password is used."""
    if PEM_MARK in data:
        return read_pem(data, password)
    return Contents(tuple(_load("a PKCS 7", pkcs7.load_der_pkcs7_certificates, data)))


def read_jks(data: bytes, password: str) -> Contents:
    """Read a Java key store; a PKCS 12 one is read as such."""
    if data.startswith(b"\x30"):
        return read_pfx(data, password)
    if data.startswith(jks.MAGIC_JCEKS):
        raise TLSSetupError(271, "a JCEKS store; convert it: keytool -importkeystore")
    store = jks.read(data, password)
    ders = [der for _, chain in store.keys for der in chain] + list(store.trusted)
    return Contents(
        tuple(_load("a certificate", x509.load_der_x509_certificate, der) for der in ders),
        tuple(_der_key(der, "") for der, _ in store.keys),
    )


def _first_inside(data: bytes) -> bytes:
    """Return what follows the tag and length of the outer SEQUENCE."""
    width = data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0
    return data[2 + width : 6 + width]


def _load(what: str, loader: Callable[[bytes], Loaded], data: bytes) -> Loaded:
    try:
        return loader(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TLSSetupError(271, f"{what} cannot be read ({error})") from error


def _pem_key(block: bytes, password: str) -> PrivateKey:
    return _key(load_pem_private_key, block, password)


def _der_key(data: bytes, password: str) -> PrivateKey:
    return _key(load_der_private_key, data, password)


def _key(loader: Callable[[bytes, bytes | None], object], data: bytes, password: str) -> PrivateKey:
    """Load a key; a password given for a key that is not encrypted is ignored."""
    secret = password.encode() or None
    try:
        return _usable(loader(data, secret))
    except TypeError as error:
        if secret is None:
            raise TLSSetupError(271, "the private key is encrypted: set a password") from error
        return _key(loader, data, "")
    except ValueError as error:
        reason = "wrong password, or a damaged private key" if secret else "a damaged private key"
        raise TLSSetupError(271, reason) from error
    except UnsupportedAlgorithm as error:
        raise TLSSetupError(271, f"a private key of an unknown kind ({error})") from error


def _usable(key: object) -> PrivateKey:
    if not isinstance(key, KEY_TYPES):
        raise TLSSetupError(271, f"a key that cannot sign ({type(key).__name__})")
    return key
