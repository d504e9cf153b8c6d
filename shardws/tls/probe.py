"""A handshake in memory: proof that a context can serve what it promises.

Owns a client that accepts nearly everything. OpenSSL silently accepts lists that fit no
certificate, and then falls back to TLS 1.2 or refuses every client: so each version of a new
context is tried once (2 ms) before it is used.
"""

import contextlib
from typing import Final

from OpenSSL import SSL

from shardws.tls import algorithms, ffi
from shardws.tls.protocols import Version

MAX_ROUNDS: Final = 10  # TLS 1.2 with every option takes 4
CURVES: Final = tuple(
    group.name for group in algorithms.GROUPS if not group.name.startswith("brainpool")
)


def handshake(server_context: SSL.Context, version: Version) -> tuple[SSL.Connection, ...]:
    """Return (server, client) after a handshake in this version; SSL.Error on failure.

    The server requests no client certificate here, whatever its context says.
    """
    server = SSL.Connection(server_context)
    server.set_verify(SSL.VERIFY_NONE)
    server.set_accept_state()
    client = SSL.Connection(_client_context(version))
    client.set_connect_state()
    for _ in range(MAX_ROUNDS):
        is_client_done = _advance(client, server)
        if _advance(server, client) and is_client_done:
            # Reads the tickets: otherwise the first read of data would find one.
            _advance(client, server)
            return server, client
    raise SSL.Error([("SSL routines", "", "the handshake does not end")])


def reason(error: SSL.Error) -> str:
    """Return the text of an SSL.Error."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(entry[-1] for entry in entries) or "no reason given"


def _client_context(version: Version) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version.number)
    context.set_max_proto_version(version.number)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_tls13_ciphersuites(
        b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
        b":TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"
    )
    if ffi.has_private("SSL_CTX_set1_curves_list"):
        ffi.set_groups(context, CURVES)
    return context


def _advance(side: SSL.Connection, other: SSL.Connection) -> bool:
    """Take a handshake step and pass on what it wrote; True when this side is done."""
    is_done = True
    try:
        side.do_handshake()
    except SSL.WantReadError:
        is_done = False
    with contextlib.suppress(SSL.WantReadError):  # nothing to pass on
        other.bio_write(side.bio_read(1 << 16))
    return is_done
