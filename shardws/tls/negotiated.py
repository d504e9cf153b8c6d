"""What a handshake agreed upon, as plain values (SSLNegotiated...).

Owns the snapshot, taken once at the end of the handshake: other shards and the supervisor cannot
ask the Connection.
"""

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from shardws.tls import algorithms, ffi, suites


class Negotiated(NamedTuple):
    """The parameters of one connection; strengths in bits."""

    protocol: str  # "TLSv1.3"
    cipher: str  # OpenSSL's name
    suite: str  # IANA's name
    cipher_bits: int
    key_exchange: str  # the group; "RSA" without one
    key_exchange_bits: int
    server_name: str
    alpn: str
    is_resumed: bool


def take(connection: SSL.Connection) -> Negotiated:
    """Return the snapshot; the handshake is complete."""
    cipher = connection.get_cipher_name() or ""
    exchange, bits = _key_exchange(connection, cipher)
    return Negotiated(
        protocol=connection.get_protocol_version_name(),
        cipher=cipher,
        suite=suites.iana_name(cipher),
        cipher_bits=connection.get_cipher_bits() or 0,
        key_exchange=exchange,
        key_exchange_bits=bits,
        server_name=(connection.get_servername() or b"").decode("ascii", "replace"),
        alpn=connection.get_alpn_proto_negotiated().decode("latin-1"),
        is_resumed=ffi.is_resumed(connection),
    )


def _key_exchange(connection: SSL.Connection, cipher: str) -> tuple[str, int]:
    group = connection.get_group_name()
    if group is not None:
        return group, algorithms.group_bits(group)
    if cipher.startswith(("ECDHE", "DHE")):
        return cipher.partition("-")[0], 0  # resumed: the exchange lies in an earlier connection
    leaf = connection.get_certificate(as_cryptography=True)
    key = leaf.public_key() if leaf else None
    return "RSA", key.key_size if isinstance(key, rsa.RSAPublicKey) else 0
