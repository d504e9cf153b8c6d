"""A TLS client of the stdlib, whose OpenSSL is another one than the engine's.

Everything is in memory. `StdlibClient.handshake` runs both sides until nobody has anything to say.
"""

import contextlib
import dataclasses
import ssl
from collections.abc import Callable
from typing import Any, Final

import pytest
import trustme

from shardws.errors import TLSSetupError
from shardws.tls import contexts, selftest
from shardws.tls.config import TLSConfig
from shardws.tls.contexts import ServerContext
from shardws.tls.engine import State, TLSEngine
from shardws.tls.ffi import Calls

EC: Final = trustme.KeyType.ECDSA
RSA: Final = trustme.KeyType.RSA
HOST: Final = "shard.example.org"

TLS12: Final = ssl.TLSVersion.TLSv1_2
TLS13: Final = ssl.TLSVersion.TLSv1_3
VERSIONS: Final = (TLS12, TLS13)


def pem_of(certificate: trustme.LeafCert) -> bytes:
    """Return key, leaf and chain as one PEM text."""
    return bytes(certificate.private_key_and_cert_chain_pem.bytes())


def config_of(certificate: trustme.LeafCert) -> TLSConfig:
    return TLSConfig(cert_store=pem_of(certificate))


def client_context(
    authority: trustme.CA,
    version: ssl.TLSVersion = TLS13,
    certificate: trustme.LeafCert | None = None,
) -> ssl.SSLContext:
    """Return a context that verifies the server and speaks exactly this version."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    if certificate is not None:
        certificate.configure_cert(context)
    return context


class StdlibClient:
    """One connection of a stdlib client to an engine."""

    def __init__(
        self,
        context: ssl.SSLContext,
        engine: TLSEngine,
        name: str = HOST,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.engine = engine
        self.received = ssl.MemoryBIO()
        self.sent = ssl.MemoryBIO()
        self.object = context.wrap_bio(self.received, self.sent, server_hostname=name)
        if session is not None:
            self.object.session = session
        self.error: ssl.SSLError | None = None
        self.plaintext = b""  # what the engine gave out during shake

    def handshake(self, on_choice: Callable[[TLSEngine], bytes] | None = None) -> "StdlibClient":
        """Run the handshake to its end, successful or not."""
        is_done = False
        for _ in range(20):
            if not is_done and self.error is None:
                is_done = self._step()
            data = self.sent.read()
            self.plaintext += self.engine.receive(data)
            if self.engine.state is State.CHOOSING and on_choice is not None:
                self.plaintext += on_choice(self.engine)
            out = self.engine.outgoing()
            self.received.write(out)
            if not data and not out and (is_done or self.error is not None):
                break
        return self

    def _step(self) -> bool:
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self.error = error
            return False
        return True

    def write(self, data: bytes) -> bytes:
        """Return the records for `data`."""
        self.object.write(data)
        return self.sent.read()

    def read(self) -> bytes:
        """Return all plaintext that has come."""
        found = b""
        while True:
            try:
                piece = self.object.read(65536)
            except ssl.SSLWantReadError:
                return found
            if not piece:
                return found
            found += piece

    def decrypt(self, records: bytes) -> bytes:
        """Take records and return their plaintext."""
        self.received.write(records)
        return self.read()

    def send(self, data: bytes) -> bytes:
        """Send data to the engine and return what it understood."""
        return self.engine.receive(self.write(data))

    def close_notify(self) -> bytes:
        """Return our close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()
        return self.sent.read()


def state_of(engine: TLSEngine) -> State:
    """Read the state anew: mypy takes an attribute for unchanged by a method call."""
    return engine.state


def connect(
    context: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    version: ssl.TLSVersion = TLS13,
    **options: bool,
) -> StdlibClient:
    engine = TLSEngine(context, calls, **options)  # type: ignore[arg-type]
    client = StdlibClient(client_context(authority, version), engine)
    client.handshake(None if not options.get("is_choosing") else TLSEngine.start)
    assert state_of(engine) is State.OPEN, (client.error, engine.ending)
    return client


CALLS: Final = selftest.choose().calls


def server_context(certificate: trustme.LeafCert, **settings: Any) -> ServerContext:
    """Return a context for these settings of TLSConfig."""
    return contexts.build(dataclasses.replace(config_of(certificate), **settings))


def setup_error(certificate: trustme.LeafCert, **settings: Any) -> tuple[int, str]:
    """Return code and words of the refusal of these settings."""
    with pytest.raises(TLSSetupError) as caught:
        server_context(certificate, **settings)
    return caught.value.code, caught.value.description


def handshake(context: ServerContext, client: ssl.SSLContext) -> StdlibClient:
    return StdlibClient(client, TLSEngine(context, CALLS)).handshake()


def is_accepted(context: ServerContext, client: ssl.SSLContext) -> bool:
    return handshake(context, client).engine.state is State.OPEN
