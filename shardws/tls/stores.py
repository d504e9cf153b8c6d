"""Certificate stores: from a path or bytes to (key, leaf, chain) entries, and the choice of one.

Owns the table of store types, numbered as in the original component, and the choice by subject;
formats are read by `containers`, chains by `chains` and files by `files`. Passwords are used and
not kept; neither keys nor passwords show in a repr or an error.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shardws.errors import TLSSetupError
from shardws.tls import chains, containers, files, subjects
from shardws.tls.containers import Contents, PrivateKey

AUTO: Final = 99
ANY_SUBJECT: Final = "*"
PLATFORM: Final = "is not available on this platform"
NO_CERTIFICATE: Final = "holds a key but no X.509 certificate"


class Kind(NamedTuple):
    """One store type: how to read it, or why it cannot be read."""

    name: str
    is_file: bool = False
    read: Callable[[bytes, str], Contents] | None = None
    refusal: str = ""


def _certificate(data: bytes, password: str) -> Contents:
    return containers.read_certificate(data)


KINDS: Final[dict[int, Kind]] = {
    0: Kind("user store", refusal=f"{PLATFORM}: it is a Windows store"),
    1: Kind("machine store", refusal=f"{PLATFORM}: it is a Windows store"),
    2: Kind("PFX file", True, containers.read_pfx),
    3: Kind("PFX blob", False, containers.read_pfx),
    4: Kind("JKS file", True, containers.read_jks),
    5: Kind("JKS blob", False, containers.read_jks),
    6: Kind("PEM file", True, containers.read_pem),
    7: Kind("PEM blob", False, containers.read_pem),
    8: Kind("public certificate file", True, _certificate),
    9: Kind("public certificate blob", False, _certificate),
    10: Kind("SSH public key blob", refusal=NO_CERTIFICATE),
    11: Kind("P7B file", True, containers.read_p7b),
    12: Kind("P7B blob", False, containers.read_p7b),
    13: Kind("SSH public key file", refusal=NO_CERTIFICATE),
    14: Kind("PPK file", refusal=NO_CERTIFICATE),
    15: Kind("PPK blob", refusal=NO_CERTIFICATE),
    16: Kind("XML file", refusal=NO_CERTIFICATE),
    17: Kind("XML blob", refusal=NO_CERTIFICATE),
    18: Kind("JWK file", refusal=NO_CERTIFICATE),
    19: Kind("JWK blob", refusal=NO_CERTIFICATE),
    20: Kind("hardware token", refusal=f"{PLATFORM}: PKCS 11 needs an engine"),
    21: Kind("BCFKS file", refusal=f"{PLATFORM}: only Bouncy Castle reads it"),
    22: Kind("BCFKS blob", refusal=f"{PLATFORM}: only Bouncy Castle reads it"),
    AUTO: Kind("store", True, containers.read_any),
}
# The kind that takes the bytes of a file for the kind that takes its path.
BLOB_KINDS: Final = {2: 3, 4: 5, 6: 7, 8: 9, 11: 12, AUTO: AUTO}


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate that a server can present."""

    key: PrivateKey = field(repr=False)
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]  # issuers, nearest first, without the root

    @property
    def subject(self) -> str:
        return subjects.format_name(self.leaf.subject)

    @property
    def pem(self) -> bytes:
        return self.leaf.public_bytes(Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(issuer.public_bytes(Encoding.PEM) for issuer in self.chain)


@dataclass(frozen=True, slots=True)
class Store:
    """A store that was read: its entries in order, and all its certificates."""

    label: str
    entries: tuple[Entry, ...]
    certificates: tuple[x509.Certificate, ...]
    keys: tuple[PrivateKey, ...] = field(default=(), repr=False)  # with or without a certificate


def load(data_or_path: str | bytes, kind: int = AUTO, password: str = "") -> Store:
    """Read a store; TLSSetupError 271 gives the reason.

    A file kind takes a path, a blob kind bytes (as str: PEM or base64), AUTO either.
    """
    row = KINDS.get(kind)
    if row is None:
        raise TLSSetupError(271, f"store type {kind} is unknown")
    if row.read is None:
        raise TLSSetupError(271, f"store type {kind} ({row.name}) {row.refusal}")
    if not data_or_path:
        raise TLSSetupError(271, "SSLCertStore is empty: no certificate store is set")
    label, data = _source(data_or_path, kind, row)
    try:
        contents = row.read(data, password)
    except TLSSetupError as error:
        raise TLSSetupError(error.code, f"{label}: {error.description}") from error
    return Store(label, _entries(contents), contents.certificates, contents.keys)


def select(store: Store, subject: str = ANY_SUBJECT) -> Entry:
    """Return the entry of a subject: exact, else within; `*` is the first.

    TLSSetupError 272 when nothing with a private key matches; it lists what is there.
    """
    if not store.entries:
        raise TLSSetupError(272, f"{store.label}: {_why_no_entry(store)}")
    if subject in ("", ANY_SUBJECT):
        return store.entries[0]
    for is_match in (subjects.is_exact, subjects.is_within):
        for entry in store.entries:
            if is_match(subject, entry.leaf.subject):
                return entry
    there = "; ".join(entry.subject or "(empty subject)" for entry in store.entries[:10])
    raise TLSSetupError(
        272, f"{store.label}: no certificate matches {subject!r}; there is: {there}"
    )


def select_encoded(store: Store, encoded: bytes) -> Entry:
    """Return the entry for a given certificate (PEM, DER, base64): its key is in the store.

    The store need not hold a certificate for that key: key and certificate may be in two files.
    """
    given = containers.read_certificate(encoded).certificates
    if not given:
        raise TLSSetupError(272, "SSLCertEncoded holds no certificate")
    for key in store.keys:
        if chains.leaves(key, given[:1]):
            return Entry(key, given[0], chains.build(given[0], (*given, *store.certificates)))
    name = subjects.format_name(given[0].subject)
    raise TLSSetupError(272, f"{store.label}: no private key for the certificate {name!r}")


def companions(store: Store, entry: Entry) -> tuple[Entry, ...]:
    """Return entries for the same names with keys of other kinds, such as RSA beside ECDSA."""
    found: dict[type, Entry] = {}
    for other in store.entries:
        kind = type(other.key)
        if kind is not type(entry.key) and names_of(other.leaf) == names_of(entry.leaf):
            found.setdefault(kind, other)
    return tuple(found.values())


def names_of(leaf: x509.Certificate) -> frozenset[str]:
    """Return what the certificate is for: DNS names and addresses, else its subject."""
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return frozenset({subjects.format_name(leaf.subject)})
    value = extension.value
    dns = (name.lower() for name in value.get_values_for_type(x509.DNSName))
    return frozenset((*dns, *map(str, value.get_values_for_type(x509.IPAddress))))


def path_of(data_or_path: str | bytes, kind: int = AUTO) -> str:
    """Return the path of a store that is a file, "" for one that is content or of no kind."""
    row = KINDS.get(kind)
    if row is None or not row.is_file:
        return ""
    if row.read is containers.read_any and _is_content(data_or_path):
        return ""
    return data_or_path if isinstance(data_or_path, str) else _path(data_or_path)


def _source(data_or_path: str | bytes, kind: int, row: Kind) -> tuple[str, bytes]:
    """Return a label for messages, and the bytes."""
    path = path_of(data_or_path, kind)
    if path:
        return f"{row.name} {path!r}", files.read(path, 271)
    label = f"{row.name} in memory"
    if isinstance(data_or_path, bytes):
        return label, data_or_path
    if "-----BEGIN " in data_or_path:
        return label, data_or_path.encode()
    try:
        return label, base64.b64decode("".join(data_or_path.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TLSSetupError(271, f"{label}: neither PEM nor base64 text") from error


def _is_content(value: str | bytes) -> bool:
    """Distinguish content from a path: a path has no PEM mark and no control characters."""
    if isinstance(value, str):
        return "-----BEGIN " in value
    return containers.PEM_MARK in value or any(byte < 32 for byte in value[:64])


def _path(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise TLSSetupError(271, "SSLCertStore is neither a path nor a known container") from error


def _entries(contents: Contents) -> tuple[Entry, ...]:
    """Pair each key with its certificates, in the order of the container."""
    pairs: dict[x509.Certificate, Entry] = {}
    for key in contents.keys:
        for leaf in chains.leaves(key, contents.certificates):
            pairs[leaf] = Entry(key, leaf, chains.build(leaf, contents.certificates))
    return tuple(pairs[leaf] for leaf in dict.fromkeys(contents.certificates) if leaf in pairs)


def _why_no_entry(store: Store) -> str:
    if not store.certificates:
        return "holds no certificate"
    return "holds certificates, but no private key for any of them"
