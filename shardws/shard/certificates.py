"""Turns TLS settings into the certificates and contexts that the server presents.

Owns the reading of the TLS rows; `shardws.tls` does the rest. The supervisor calls `build` before
the first fork and keeps the CertificateSet, so that all shards and their successors share its
ticket keys; a program with one shard calls it when it starts to listen. SSLCertSubject and
SSLCertEncoded read back the certificate found, as soon as there is a store; the search uses the
values given.
"""

from collections.abc import Callable
from typing import Any, Final

from shardws.errors import TLSSetupError
from shardws.events import SSLConnectionRequest
from shardws.log import logger
from shardws.settings import table
from shardws.settings.row import Row
from shardws.settings.values import Settings
from shardws.tls import certificate_set as sites
from shardws.tls import contexts, stores
from shardws.tls.certificate_set import CertificateSet
from shardws.tls.config import TLSConfig

log = logger("certificates")

# What SSLCertSubject and SSLCertEncoded follow from.
SELECTING: Final[tuple[Row[Any], ...]] = (
    table.SSL_CERT_STORE,
    table.SSL_CERT_STORE_TYPE,
    table.SSL_CERT_STORE_PASSWORD,
    table.SSL_CERT_SUBJECT,
    table.SSL_CERT_ENCODED,
)


def build(settings: Settings, before: CertificateSet | None = None) -> CertificateSet | None:
    """Return the CertificateSet of these settings, None without UseSSL; TLSSetupError 270 to 276.

    With `before`, the one in use, only its certificates are read again. Warnings are logged the
    first time.
    """
    if not settings[table.USE_SSL]:
        return None
    config = tls_config(settings)
    site = sites.build(config, sni_configs(settings, config), before)
    for warning in site.warnings if before is None else ():
        log.warning("%s", warning)
    return site


def tls_config(settings: Settings) -> TLSConfig:
    """Return the TLS part of the settings."""
    return TLSConfig(
        cert_store=settings[table.SSL_CERT_STORE],
        cert_store_type=settings[table.SSL_CERT_STORE_TYPE],
        cert_store_password=settings[table.SSL_CERT_STORE_PASSWORD],
        cert_subject=settings.given(table.SSL_CERT_SUBJECT).value,
        cert_encoded=settings.given(table.SSL_CERT_ENCODED).value,
        enabled_protocols=settings[table.SSL_ENABLED_PROTOCOLS],
        enabled_cipher_suites=settings[table.SSL_ENABLED_CIPHER_SUITES],
        cipher_list=settings[table.OPENSSL_CIPHER_LIST],
        cipher_strength=settings[table.SSL_CIPHER_STRENGTH],
        tls12_groups=settings[table.TLS12_SUPPORTED_GROUPS],
        tls13_groups=settings[table.TLS13_SUPPORTED_GROUPS],
        tls13_key_shares=settings[table.TLS13_KEY_SHARE_GROUPS],
        tls12_signatures=settings[table.TLS12_SIGNATURE_ALGORITHMS],
        tls13_signatures=settings[table.TLS13_SIGNATURE_ALGORITHMS],
        authenticate_clients=settings[table.SSL_AUTHENTICATE_CLIENTS],
        require_certificate=settings[table.SSL_REQUIRE_CLIENT_CERTIFICATE],
        include_cert_chain=settings[table.SSL_INCLUDE_CERT_CHAIN],
        security_flags=settings[table.SSL_SECURITY_FLAGS],
        ca_dir=settings[table.OPENSSL_CA_DIR],
        ca_file=settings[table.OPENSSL_CA_FILE],
        ca_file_paths=settings[table.SSL_CA_CERT_FILE_PATHS],
        ca_certs=settings[table.SSL_CA_CERTS],
        reuse_sessions=settings[table.REUSE_SSL_SESSION],
        ticket_seconds=settings[table.SSL_SESSION_TIMEOUT],
        renegotiation=settings[table.SSL_ENABLE_RENEGOTIATION],
        log_packets=settings[table.LOG_SSL_PACKETS],
    )


def sni_configs(settings: Settings, config: TLSConfig) -> list[tuple[str, TLSConfig]]:
    """Return (pattern, configuration) for each entry of SNIMap."""
    entries = (entry.partition("=") for entry in settings[table.SNI_MAP])
    password = config.cert_store_password
    return [
        (pattern, config.with_store(store, stores.AUTO, password, stores.ANY_SUBJECT))
        for pattern, _, store in entries
    ]


def chosen(event: SSLConnectionRequest) -> tuple[str | bytes, int, str, str]:
    """Return store, type, password and subject as a handler left them; SettingError for a bad one.

    A handler may write any value into the event: it is checked like the settings.
    """
    return (
        table.SSL_CERT_STORE.accept(event.cert_store),
        table.SSL_CERT_STORE_TYPE.accept(event.cert_store_type),
        table.SSL_CERT_STORE_PASSWORD.accept(event.cert_password),
        table.SSL_CERT_SUBJECT.accept(event.cert_subject),
    )


def show_selection(settings: Settings) -> None:
    """Let SSLCertSubject and SSLCertEncoded read as the certificate that is selected.

    The store is read when they are. A subject that matches nothing reads as "" and is error 272 at
    the start; without a store, or with one that cannot be read, both read as given.
    """
    rows: dict[Row[Any], Callable[[Settings], object]] = {
        table.SSL_CERT_SUBJECT: lambda settings: _selected(settings)[0],
        table.SSL_CERT_ENCODED: lambda settings: _selected(settings)[1],
    }
    settings.derive(SELECTING, rows)


def _selected(settings: Settings) -> tuple[str, bytes]:
    """Return subject and PEM text of the selected certificate."""
    config = tls_config(settings)
    if not config.cert_store:
        return config.cert_subject, config.cert_encoded
    try:
        entry = contexts.selected(config)
    except TLSSetupError as error:
        return "" if error.code == 272 else config.cert_subject, config.cert_encoded
    return entry.subject, entry.pem


def show(settings: Settings, site: CertificateSet | None) -> None:
    """Let the settings read as the certificate that was found, while listening."""
    if site is None:
        return
    settings.resolve(table.SSL_CERT_SUBJECT, site.default.facts[0].subject)
    settings.resolve(table.SSL_CERT_ENCODED, site.default.encoded)


def seed(settings: Settings) -> bytes:
    """Return the seed to mix into the random numbers of each shard."""
    return settings[table.OPENSSL_PRNG_SEED_DATA].encode()


def most_handshakes(settings: Settings) -> int:
    """Return how many concurrent TLS handshakes a shard may have."""
    return settings[table.MAX_HANDSHAKES]


def files(settings: Settings) -> list[str]:
    """Return the files that the certificates come from: to be watched for renewals."""
    config = tls_config(settings)
    named = [other.cert_store for _, other in sni_configs(settings, config)]
    kinds = [config.cert_store_type, *(stores.AUTO for _ in named)]
    found = (
        stores.path_of(store, kind)
        for store, kind in zip([config.cert_store, *named], kinds, strict=True)
    )
    return [path for path in found if path]
