"""The TLS part of the settings, as plain values.

Owns the defaults of TLS. `shard.certificates` fills it from the settings. Secrets do not show in
its repr.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from shardws.tls import protocols, stores

TICKET_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """What `contexts.build` needs; each field is the setting of the same name."""

    cert_store: str | bytes = field(default="", repr=False)  # a blob may hold a private key
    cert_store_type: int = stores.AUTO
    cert_store_password: str = field(default="", repr=False)
    cert_subject: str = stores.ANY_SUBJECT
    cert_encoded: bytes = b""  # chooses the entry whose key fits; overrules cert_subject

    enabled_protocols: int = protocols.DEFAULT_MASK
    enabled_cipher_suites: str = "*"
    cipher_list: str = ""
    cipher_strength: int = 0  # bits
    tls12_groups: str = ""
    tls13_groups: str = ""
    tls13_key_shares: str = ""
    tls12_signatures: str = ""
    tls13_signatures: str = ""

    authenticate_clients: bool = False
    require_certificate: bool = True  # of a client that is asked for one
    include_cert_chain: bool = False
    security_flags: int = 0
    ca_dir: str = ""
    ca_file: str = ""
    ca_file_paths: str = ""
    ca_certs: str = ""

    reuse_sessions: bool = True
    ticket_seconds: int = TICKET_SECONDS  # age at which a session is no longer resumed
    renegotiation: bool = False
    log_packets: bool = False
    provider: str = "*"

    def without_secrets(self) -> "TLSConfig":
        """Return the same without store, password and certificate."""
        return replace(self, cert_store="", cert_store_password="", cert_encoded=b"")

    def with_store(self, store: str | bytes, kind: int, password: str, subject: str) -> "TLSConfig":
        """Return the same for another certificate."""
        return replace(
            self,
            cert_store=store,
            cert_store_type=kind,
            cert_store_password=password,
            cert_subject=subject,
            cert_encoded=b"",
        )
