"""Java key stores (JKS): a reader.

Owns the format. Facts: numbers are
big-endian; after magic, version and count come the entries, each a tag (1 key, 2 certificate), an
alias, a date and its data; the last 20 bytes are SHA-1(password, "Mighty Aphrodite", everything
before). Passwords are UTF-16. A key is protected by XOR with SHA-1 chained over the password: the
format has no other protection, so treat a JKS file like an unencrypted key.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from shardws.errors import TLSSetupError

MAGIC: Final = b"\xfe\xed\xfe\xed"
MAGIC_JCEKS: Final = b"\xce\xce\xce\xce"
WHITENER: Final = b"Mighty Aphrodite"
DIGEST: Final = 20
MAX_ENTRIES: Final = 10_000
# EncryptedPrivateKeyInfo with the algorithm 1.3.6.1.4.1.42.2.17.1.1 (Sun's key protector).
PROTECTOR: Final = bytes.fromhex("060a2b060104012a02110101")


@dataclass(frozen=True, slots=True)
class JavaStore:
    """DER bytes: PKCS 8 keys with their chains (leaf first), and trusted certificates."""

    keys: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    trusted: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"<JavaStore {len(self.keys)} keys, {len(self.trusted)} trusted>"


def read(data: bytes, password: str) -> JavaStore:
    """Read a JKS store; TLSSetupError 271 for damage or a wrong password.

    Without a password the digest is not checked: that is how trust stores are listed.
    """
    if not data.startswith(MAGIC) or len(data) < 12 + DIGEST:
        raise TLSSetupError(271, "not a complete JKS store")
    secret = password.encode("utf-16-be")
    body = data[:-DIGEST]
    if password and _sha1(secret, WHITENER, body) != data[-DIGEST:]:
        raise TLSSetupError(271, "wrong password, or a damaged JKS store")
    reader = _Reader(body)
    reader.take(4)
    version, count = reader.number(), reader.number()
    if version not in (1, 2) or count > MAX_ENTRIES:
        raise TLSSetupError(271, f"JKS version {version} with {count} entries cannot be read")
    keys: list[tuple[bytes, tuple[bytes, ...]]] = []
    trusted: list[bytes] = []
    for _ in range(count):
        tag = reader.number()
        reader.text()
        reader.take(8)
        if tag == 1:
            protected = reader.block()
            chain = tuple(reader.certificate(version) for _ in range(reader.bounded()))
            keys.append((_unlock(protected, secret), chain))
        elif tag == 2:
            trusted.append(reader.certificate(version))
        else:
            raise TLSSetupError(271, f"JKS entry of unknown kind {tag}")
    return JavaStore(tuple(keys), tuple(trusted))


class _Reader:
    """Takes values from the front; TLSSetupError 271 when the data end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise TLSSetupError(271, "the JKS store is cut short")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def bounded(self) -> int:
        count = self.number()
        if count > MAX_ENTRIES:
            raise TLSSetupError(271, "the JKS store holds an endless chain")
        return count

    def text(self) -> bytes:
        return self.take(int.from_bytes(self.take(2), "big"))

    def block(self) -> bytes:
        return self.take(self.number())

    def certificate(self, version: int) -> bytes:
        if version == 2:
            self.text()  # its type, X.509
        return self.block()


def _unlock(info: bytes, secret: bytes) -> bytes:
    """Return the PKCS 8 bytes of a protected key: salt, XOR stream, SHA-1 of the plain key."""
    at = info.find(PROTECTOR)
    if not 0 <= at < 16:
        raise TLSSetupError(271, "a key of the JKS store is protected in an unknown way")
    protected = _octets(info, at + len(PROTECTOR))
    salt, sealed, check = protected[:DIGEST], protected[DIGEST:-DIGEST], protected[-DIGEST:]
    stream, block = bytearray(), salt
    while len(stream) < len(sealed):
        block = _sha1(secret, block)
        stream += block
    plain = bytes(a ^ b for a, b in zip(sealed, stream, strict=False))
    if _sha1(secret, plain) != check:
        raise TLSSetupError(271, "wrong password for a key of the JKS store")
    return plain


def _octets(info: bytes, at: int) -> bytes:
    """Return the OCTET STRING at or just behind `at`, past the NULL parameters of the OID."""
    if info[at : at + 2] == b"\x05\x00":
        at += 2
    if info[at : at + 1] != b"\x04" or len(info) < at + 2:
        raise TLSSetupError(271, "a key of the JKS store is damaged")
    size, at = info[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        size, at = int.from_bytes(info[at : at + width], "big"), at + width
    if size < 2 * DIGEST or at + size > len(info):
        raise TLSSetupError(271, "a key of the JKS store is damaged")
    return info[at : at + size]


def _sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()
