"""Builds an immutable ServerContext from one configuration.

Owns the assembly: which store, versions, suites, lists and callbacks make a pyOpenSSL Context.
Facts: a Context is frozen by its first Connection, so another setting means another ServerContext.
Ticket keys are created with the Context: created before the fork, they are the same in every shard,
including those forked later, and sessions resume everywhere. The keys in force are those of the
Context a Connection was made with. Callbacks find the connection's CallbackState in its app data.
"""

from dataclasses import dataclass, field
from typing import Final

from OpenSSL import SSL

from shardws.errors import TLSSetupError
from shardws.tls import algorithms, facts, probe, protocols, stores, suites, trust
from shardws.tls.assembly import Lists, Plan, assemble
from shardws.tls.callback_state import CallbackState
from shardws.tls.config import TLSConfig
from shardws.tls.facts import CertificateFacts
from shardws.tls.protocols import Version
from shardws.tls.suites import Selection
from shardws.tls.verification import ignored_errors

PROVIDERS: Final = frozenset(
    {"", "*", "automatic", "platform", "internal", "openssl", "0", "1", "2"}
)


@dataclass(frozen=True, slots=True, eq=False)
class ServerContext:
    """All that connections of one configuration share; safe over fork."""

    modern: SSL.Context  # for clients that offer TLS 1.3, or for all
    legacy: SSL.Context | None  # for the others, where groups or signatures differ by version
    config: TLSConfig  # without secrets
    facts: tuple[CertificateFacts, ...]  # of the certificates presented, the preferred one first
    encoded: bytes  # the preferred one as PEM
    protocols: tuple[str, ...]  # "TLSv1.2", "TLSv1.3"
    warnings: tuple[str, ...]  # for the log
    ignored: frozenset[int]  # verification errors that SSLSecurityFlags ignore
    parent: "ServerContext | None" = None  # whose ticket keys are used
    kept: tuple[object, ...] = field(default=(), repr=False)  # callbacks that OpenSSL calls

    @property
    def needs_hello(self) -> bool:
        """Whether the ClientHello must be read before a connection can be opened."""
        return self.legacy is not None

    @property
    def needs_witness(self) -> bool:
        config = self.config
        return config.authenticate_clients or config.renegotiation or config.log_packets

    def open(self, state: CallbackState | None, is_modern: bool = True) -> SSL.Connection:
        """Return a new Connection; `is_modern`: its client offers TLS 1.3."""
        connection = SSL.Connection((self.parent or self)._for(is_modern))
        if self.parent is not None:
            # Before the handshake the session id of the new context applies: no resumption across
            # certificates, although they share ticket keys (CVE-2025-23419).
            connection.set_context(self._for(is_modern))
        connection.set_app_data(state)
        connection.set_accept_state()
        return connection

    def _for(self, is_modern: bool) -> SSL.Context:
        return self.modern if is_modern or self.legacy is None else self.legacy


def build(config: TLSConfig, parent: ServerContext | None = None) -> ServerContext:
    """Make a ServerContext; TLSSetupError 270 to 276 says what cannot be used and why.

    With `parent` it is another certificate for the same settings, under the parent's ticket
    keys: for certificates that are chosen after the fork.
    """
    _check_provider(config.provider)
    entries = _entries(config)
    versions = protocols.enabled(config.enabled_protocols)
    is_old = protocols.needs_old_security(versions)
    selection = suites.select(
        config.enabled_cipher_suites, config.cipher_list, config.cipher_strength, is_old
    )
    if is_old and selection.level is None:
        selection = selection._replace(level=0)
    served = _served(versions, selection)
    older, newer = _lists(config)
    authorities = trust.load(config.ca_dir, config.ca_file, config.ca_file_paths, config.ca_certs)
    plan = Plan(config, entries, selection, served, newer, authorities)
    modern, legacy, kept = _contexts(plan, older)
    for version in served:
        is_legacy = legacy is not None and version is not protocols.TLS13
        _prove(legacy if legacy and is_legacy else modern, version, config)
    return ServerContext(
        modern=modern,
        legacy=legacy,
        config=config.without_secrets(),
        facts=tuple(facts.describe(entry) for entry in entries),
        encoded=entries[0].pem,
        protocols=tuple(version.name for version in served),
        warnings=_warnings(config, is_old, versions, served, bool(authorities)),
        ignored=ignored_errors(config.security_flags),
        parent=parent.parent or parent if parent else None,
        kept=kept,
    )


def _check_provider(provider: str) -> None:
    if provider.strip().casefold() not in PROVIDERS:
        raise TLSSetupError(270, f"SSLProvider {provider!r} is not available; OpenSSL is")


def selected(config: TLSConfig) -> stores.Entry:
    """Return the entry that store, subject and encoded certificate select; TLSSetupError else."""
    return _select(_store(config), config)


def _store(config: TLSConfig) -> stores.Store:
    return stores.load(config.cert_store, config.cert_store_type, config.cert_store_password)


def _select(store: stores.Store, config: TLSConfig) -> stores.Entry:
    if config.cert_encoded:
        return stores.select_encoded(store, config.cert_encoded)
    return stores.select(store, config.cert_subject)


def _entries(config: TLSConfig) -> tuple[stores.Entry, ...]:
    """Return the entries to present: the chosen one, and those of other key types beside it."""
    store = _store(config)
    entry = _select(store, config)
    return (entry,) if config.cert_encoded else (entry, *stores.companions(store, entry))


def _served(versions: tuple[Version, ...], selection: Selection) -> tuple[Version, ...]:
    """Leave out versions without a suite: OpenSSL would refuse their clients instead."""
    served = tuple(
        version
        for version in versions
        if (selection.modern if version is protocols.TLS13 else selection.legacy)
    )
    if not served:
        names = ", ".join(version.name for version in versions)
        raise TLSSetupError(274, f"no cipher suite is left for {names}")
    return served


def _lists(config: TLSConfig) -> tuple[Lists, Lists]:
    """Return the lists for TLS 1.2 and for 1.3."""
    older = Lists(
        algorithms.groups(config.tls12_groups), algorithms.signatures(config.tls12_signatures)
    )
    newer = Lists(
        algorithms.groups(config.tls13_groups), algorithms.signatures(config.tls13_signatures)
    )
    algorithms.check_key_shares(config.tls13_key_shares, newer.groups)
    return older, newer


def _contexts(
    plan: Plan, older: Lists
) -> tuple[SSL.Context, SSL.Context | None, tuple[object, ...]]:
    """Make the context, or two where the lists differ by version.

    The second keeps the whole range of versions: it never meets a client that offers TLS 1.3,
    but it has to mark its replies as those of a server that supports it (RFC 8446 section 4.1.3).
    """
    has_modern = protocols.TLS13 in plan.versions
    if not has_modern or plan.versions == (protocols.TLS13,) or older == plan.lists:
        lists = plan.lists if has_modern else older
        context, kept = assemble(plan._replace(lists=lists))
        return context, None, kept
    modern, kept = assemble(plan._replace(versions=(protocols.TLS13,)))
    legacy, more = assemble(plan._replace(lists=older))
    return modern, legacy, kept + more


def _prove(context: SSL.Context, version: Version, config: TLSConfig) -> None:
    """Make one handshake in each version: lists that do not fit the certificate fail here."""
    try:
        probe.handshake(context, version)
    except SSL.Error as error:
        has_lists = any(
            (config.tls12_groups, config.tls13_groups)
            + (config.tls12_signatures, config.tls13_signatures)
        )
        text = f"{version.name} cannot be served with this certificate and these lists"
        code = 276 if has_lists else 274
        raise TLSSetupError(code, f"{text}: {probe.reason(error)}") from error


def _warnings(
    config: TLSConfig,
    is_old: bool,
    wanted: tuple[Version, ...],
    served: tuple[Version, ...],
    has_authorities: bool,
) -> tuple[str, ...]:
    """Return warnings about effects an operator may not expect."""
    found = []
    if is_old:
        found.append("TLS 1.0 or 1.1 is enabled: OpenSSL's security level is 0 for all clients")
    for version in wanted:
        if version not in served:
            found.append(f"{version.name} is not offered: none of its cipher suites is enabled")
    if config.authenticate_clients and not has_authorities:
        found.append("no CA is trusted: every client certificate will be of an unknown issuer")
    if config.security_flags and config.authenticate_clients:
        found.append(f"SSLSecurityFlags {config.security_flags:#x} ignore certificate errors")
    return tuple(found)
