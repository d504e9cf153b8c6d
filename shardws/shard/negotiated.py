"""What TLS agreed on with one client, as the application reads it (SSLNegotiated...).

Owns the names of the settings and their values without TLS; the snapshot was taken at the end of
the handshake by `tls.negotiated`.
"""

from typing import Any, Final

from shardws.net.connection import Connection
from shardws.settings import table
from shardws.settings.row import Row
from shardws.tls.negotiated import Negotiated

NOTHING: Final = Negotiated(
    protocol="",
    cipher="",
    suite="",
    cipher_bits=0,
    key_exchange="",
    key_exchange_bits=0,
    server_name="",
    alpn="",
    is_resumed=False,
)

# The field of Negotiated that each setting of a connection reads.
FIELDS: Final[dict[Row[Any], str]] = {
    table.SSL_NEGOTIATED_CIPHER: "cipher",
    table.SSL_NEGOTIATED_CIPHER_STRENGTH: "cipher_bits",
    table.SSL_NEGOTIATED_CIPHER_SUITE: "suite",
    table.SSL_NEGOTIATED_KEY_EXCHANGE: "key_exchange",
    table.SSL_NEGOTIATED_KEY_EXCHANGE_STRENGTH: "key_exchange_bits",
    table.SSL_NEGOTIATED_PROTOCOL: "protocol",
}


def of(connection: Connection) -> Negotiated:
    """Return what was agreed on; NOTHING without TLS, and until its handshake is done."""
    extras = connection.extras
    return NOTHING if extras is None or extras.negotiated is None else extras.negotiated


def describe(connection: Connection) -> str:
    """Return what was agreed on in one line."""
    agreed = of(connection)
    if agreed is NOTHING:
        return "no TLS"
    return f"{agreed.protocol}, {agreed.suite}, {agreed.key_exchange}"
