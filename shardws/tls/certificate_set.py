"""All certificates of a server: the default, those by server name, those chosen at run time.

Owns the choice of a client's ServerContext. A CertificateSet is made before the fork and is
immutable, so a reload makes another one: if that raises, the old CertificateSet stays. Contexts for
SNI names have ticket keys of their own, so no session resumes under another name. Contexts chosen
at run time (SSLConnectionRequest) are made in one shard: they use the default's ticket keys, and
`Alternatives` keeps the last few, since making one costs 1 to 9 ms.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from shardws.tls import contexts, files, stores
from shardws.tls.clienthello import Hello
from shardws.tls.config import TLSConfig
from shardws.tls.contexts import ServerContext
from shardws.tls.facts import CertificateFacts
from shardws.tls.sni import SNIMap

MAX_ALTERNATIVES: Final = 64  # 24 KiB each


class CertificateSet:
    """The contexts of one configuration."""

    def __init__(self, default: ServerContext, names: SNIMap[ServerContext]) -> None:
        self.default = default
        self.names = names

    @property
    def needs_choice(self) -> bool:
        """Whether there are several contexts, so that the ClientHello must be read first."""
        return len(self.names) > 0

    def choose(self, hello: Hello | None) -> ServerContext:
        """Return the context for a client; the default without a hello or a matching name."""
        if hello is None:
            return self.default
        return self.names.find(hello.server_name) or self.default

    @property
    def contexts(self) -> tuple[ServerContext, ...]:
        return (self.default, *self.names.values())

    @property
    def facts(self) -> tuple[CertificateFacts, ...]:
        """All certificates that may be presented, for status and for watching their expiry."""
        return tuple(dict.fromkeys(fact for context in self.contexts for fact in context.facts))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line for context in self.contexts for line in context.warnings))


def build(
    config: TLSConfig,
    named: Iterable[tuple[str, TLSConfig]] = (),
    before: CertificateSet | None = None,
) -> CertificateSet:
    """Make the contexts of a server: the default, and one for each (pattern, configuration).

    With `before`, a CertificateSet of the same settings, only the certificates are new: each
    context keeps the ticket keys of its predecessor, so that processes that each make the new
    CertificateSet still resume each other's sessions. TLSSetupError 270 to 276 as
    `contexts.build`; 272 for a bad pattern.
    """
    parents: SNIMap[ServerContext] = before.names if before else SNIMap()
    default = contexts.build(config, before.default if before else None)
    return CertificateSet(
        default,
        SNIMap((pattern, contexts.build(other, parents.get(pattern))) for pattern, other in named),
    )


class Alternatives:
    """Contexts for certificates that a handler chose; one object for each shard."""

    def __init__(self, config: TLSConfig, parent: ServerContext) -> None:
        self._config = config.without_secrets()
        self._parent = parent
        self._known: dict[bytes, ServerContext] = {}

    def get(self, store: str | bytes, kind: int, password: str, subject: str) -> ServerContext:
        """Return the context for a store; TLSSetupError as `contexts.build`.

        A file is read each time, so that a renewed certificate is seen.
        """
        row = stores.KINDS.get(kind)
        if isinstance(store, str) and row and row.is_file and "-----BEGIN " not in store:
            store = files.read(store, 271)
            kind = stores.BLOB_KINDS[kind]
        data = store.encode() if isinstance(store, str) else store
        key = _digest(data, str(kind).encode(), password.encode(), subject.encode())
        context = self._known.pop(key, None)
        if context is None:
            other = self._config.with_store(store, kind, password, subject)
            context = contexts.build(other, self._parent)
            if len(self._known) >= MAX_ALTERNATIVES:
                del self._known[next(iter(self._known))]
        self._known[key] = context  # at the end: the first is the least recently used
        return context


def _digest(*parts: bytes) -> bytes:
    sizes = b"".join(len(part).to_bytes(8, "big") for part in parts)
    return hashlib.sha256(sizes + b"".join(parts)).digest()
