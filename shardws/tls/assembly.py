"""One pyOpenSSL Context from a plan.

Owns the order of the calls and OpenSSL's callbacks; the plan is made by `contexts`.
Facts: the callbacks are set before the fork and find the CallbackState of a connection as its app
data.
"""

import hashlib
from typing import Final, NamedTuple

from cryptography import x509
from OpenSSL import SSL, crypto

from shardws.errors import TLSSetupError
from shardws.tls import ffi, files, probe, protocols, stores
from shardws.tls.callback_state import CallbackState
from shardws.tls.config import TLSConfig
from shardws.tls.protocols import Version
from shardws.tls.suites import Selection

# SSL_OP_... that pyOpenSSL does not name.
ALLOW_CLIENT_RENEGOTIATION: Final = 1 << 8
PRIORITIZE_CHACHA: Final = 1 << 21
HTTP: Final = b"http/1.1"
VERIFY_DEPTH: Final = 10
MOST_SHOWN: Final = 100  # characters shown of a client's offer
# A CertificateRequest with the names of a whole public bundle would be 15 KiB in each handshake.
MAX_CA_NAMES: Final = 32


class Lists(NamedTuple):
    """Groups and signature algorithms of one version; empty is OpenSSL's default."""

    groups: tuple[str, ...]
    signatures: tuple[str, ...]


class Plan(NamedTuple):
    """What one pyOpenSSL Context is made of."""

    config: TLSConfig
    entries: tuple[stores.Entry, ...]
    selection: Selection
    versions: tuple[Version, ...]
    lists: Lists
    authorities: tuple[x509.Certificate, ...]


def assemble(plan: Plan) -> tuple[SSL.Context, tuple[object, ...]]:
    """Return the Context, and callbacks to keep for as long as it lives."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_options(SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection: 54 -> 34 KiB
    protocols.restrict(context, plan.versions)
    _set_suites(context, plan.selection)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    if not plan.selection.is_ordered:
        # A client that prefers ChaCha20 has no AES in hardware, such as a phone.
        context.set_options(PRIORITIZE_CHACHA)
    if plan.lists.groups:
        ffi.set_groups(context, plan.lists.groups)
    if plan.lists.signatures:
        ffi.set_signatures(context, plan.lists.signatures)
    _set_certificates(context, plan.entries)
    _set_sessions(context, plan)
    _set_renegotiation(context, plan.config.renegotiation)
    context.set_alpn_select_callback(_select_alpn)
    kept: list[object] = []
    if plan.config.authenticate_clients:
        kept.append(_set_verification(context, plan))
    if plan.config.log_packets:
        kept.append(ffi.set_packet_listener(context, _tell_packet))
    return context, tuple(kept)


def _set_suites(context: SSL.Context, selection: Selection) -> None:
    if selection.modern:
        context.set_tls13_ciphersuites(selection.modern_string())
    if selection.legacy:
        context.set_cipher_list(selection.legacy_string())


def _set_certificates(context: SSL.Context, entries: tuple[stores.Entry, ...]) -> None:
    """Load the entries; chains that differ need a file each, a shared one does not."""
    chain = entries[0].chain
    is_shared = all(entry.chain == chain for entry in entries)
    for entry in entries:
        try:
            if is_shared:
                context.use_certificate(entry.leaf)
            else:
                with files.as_file(entry.pem + entry.chain_pem) as path:
                    context.use_certificate_chain_file(path)
            context.use_privatekey(entry.key)
        except (SSL.Error, TypeError, ValueError) as error:
            why = probe.reason(error) if isinstance(error, SSL.Error) else str(error)
            text = f"the certificate {entry.subject!r} cannot be used: {why}"
            raise TLSSetupError(272, text) from error
    for issuer in chain if is_shared else ():
        context.add_extra_chain_cert(issuer)


def _set_sessions(context: SSL.Context, plan: Plan) -> None:
    """Offer tickets, which any shard can open, or nothing; never a per-process cache.

    With client certificates nothing is resumed: a resumed session is not verified again.
    """
    config = plan.config
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if not config.reuse_sessions or config.authenticate_clients:
        context.set_options(SSL.OP_NO_TICKET)
    context.set_timeout(config.ticket_seconds)
    identity = b"".join(entry.pem for entry in plan.entries)
    context.set_session_id(hashlib.sha256(identity).digest())


def _set_renegotiation(context: SSL.Context, is_allowed: bool) -> None:
    if is_allowed:
        context.set_options(ALLOW_CLIENT_RENEGOTIATION)
        context.set_info_callback(_tell_step)
    else:
        context.set_options(SSL.OP_NO_RENEGOTIATION)


def _set_verification(context: SSL.Context, plan: Plan) -> object:
    """Request a client certificate; return a callback to keep alive."""
    # Only once: a renegotiation would call the handler again, in the middle of the data.
    mode = SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE
    if plan.config.require_certificate:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, _judge)
    context.set_verify_depth(VERIFY_DEPTH)
    store = context.get_cert_store()
    assert store is not None  # pyOpenSSL gives each Context one
    for authority in plan.authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
        if len(plan.authorities) <= MAX_CA_NAMES:
            context.add_client_ca(authority)
    return ffi.explain_refusals(context, mode, _error_of)


def _select_alpn(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Select HTTP/1.1, the only protocol of an opening request (RFC 6455).

    pyOpenSSL turns any exception raised here into the fatal alert no_application_protocol, which
    RFC 7301 section 3.2 requires, and raises it again from the handshake.
    """
    if HTTP in offered:
        return HTTP
    shown = b", ".join(offered).decode("ascii", "backslashreplace")[:MOST_SHOWN]
    raise SSL.Error([("", "", f"the client offers no protocol (ALPN) but {shown}")])


def _judge(
    connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
) -> bool:
    state = _witness_of(connection)
    return state is not None and state.judge(certificate, error, depth, ok)


def _error_of(connection: SSL.Connection) -> int:
    state = _witness_of(connection)
    return state.certificate.error if state and state.certificate else 0


def _tell_step(connection: SSL.Connection, where: int, value: int) -> None:
    state = _witness_of(connection)
    if state is not None:
        state.step(connection, where, value)


def _tell_packet(
    connection: SSL.Connection, out: int, version: int, kind: int, head: bytes
) -> None:
    state = _witness_of(connection)
    if state is not None:
        state.packet(out, version, kind, head)


def _witness_of(connection: SSL.Connection) -> CallbackState | None:
    state = connection.get_app_data()
    return state if isinstance(state, CallbackState) else None
