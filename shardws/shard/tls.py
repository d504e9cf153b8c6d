"""TLS of one shard: which certificate a client gets, and the three SSL events.

Owns the decisions that `net.tls` requests (it is its Guard) and the reports on a handshake;
`certificates` read the settings. Order on one connection: SSLConnectionRequest (may be async: the
handshake waits), SSLStatus*, SSLClientAuthentication. The last decides inside the handshake, so a
refused client is told why; an `async def` handler, and any handler for a client without a
certificate, decides after the handshake: the client's data waits, and a refusal can no longer be an
alert.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, cast

from shardws import events
from shardws.errors import SettingError, TLSSetupError
from shardws.log import cut, shown
from shardws.net.connection import Connection
from shardws.net.connection.states import HOLD_DECISION, HOLD_TASK
from shardws.net.handshake_limiter import HandshakeLimiter
from shardws.net.tls import TLSTransport
from shardws.net.tlsflow import SORRY, TLSFlow
from shardws.settings.values import Settings
from shardws.shard import certificates
from shardws.shard.dispatch import Dispatcher
from shardws.shard.opening import Opening
from shardws.shard.tasks import is_work, raise_if_ours
from shardws.stats import REFUSED
from shardws.tls import ffi, selftest
from shardws.tls.certificate_set import Alternatives, CertificateSet
from shardws.tls.clienthello import Hello
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.engine import TLSEngine
from shardws.tls.verification import ClientCertificate

# "public" uses only pyOpenSSL's public calls: slower, and a workaround if the others fail.
PREFER: Final = "SHARDWS_TLS_CALLS"
FAILED: Final = Ending(280, "the application failed to choose a certificate")
UNDECIDED: Final = Ending(281, "client certificate refused: the application failed")
REFUSED_LATE: Final = Ending(281, "client certificate refused by the application")


class ShardTLS:
    """The Guard of one shard."""

    def __init__(
        self, dispatch: Dispatcher, opening: Opening, settings: Settings, site: CertificateSet
    ) -> None:
        self.loop = dispatch.loop
        self.gate = HandshakeLimiter(dispatch.loop, certificates.most_handshakes(settings))
        self._dispatch = dispatch
        self._opening = opening
        self._settings = settings
        self._log = dispatch.log
        self._config = certificates.tls_config(settings)
        self._undecided: set[Connection] = set()  # an async handler decides on their certificate
        seed = certificates.seed(settings)
        if seed:
            ffi.add_entropy(seed)
        choice = selftest.choose(os.environ.get(PREFER, selftest.AUTO))
        if choice.reason:
            self._log.warning("TLS runs through the public calls: %s", choice.reason)
        self._calls = choice.calls
        self.renew(site)

    def renew(self, site: CertificateSet) -> None:
        """Present other certificates from now on; open connections are not affected."""
        self._site = site
        self._alternatives = Alternatives(self._config, site.default)

    def read_anew(self) -> None:
        """Present the current content of the stores; TLSSetupError changes nothing."""
        site = certificates.build(self._settings, self._site)
        if site is not None:
            self.renew(site)
            certificates.show(self._settings, site)

    def wrap(self, connection: Connection) -> TLSTransport:
        """Return the protocol for a newly accepted socket."""
        return TLSTransport(self, connection)

    # -- net.tls.Guard -------------------------------------------------------------------

    def engine(self, connection: Connection) -> TLSEngine:
        handlers = self._dispatch.handlers
        is_asking = handlers.on_ssl_client_authentication is not None or self._config.security_flags
        return TLSEngine(
            self._site.default,
            self._calls,
            is_choosing=self._site.needs_choice or handlers.on_ssl_connection_request is not None,
            is_traced=handlers.on_ssl_status is not None,
            on_certificate=partial(self._judge, connection) if is_asking else None,
            may_lack=handlers.on_ssl_client_authentication is not None,
        )

    def choose(self, wire: TLSFlow) -> None:
        """Ask on_ssl_connection_request; without it the name that the client asks for decides.

        For a refused client no event is fired: it only gets its response.
        """
        hello = wire.engine.hello or Hello(())
        handler = self._dispatch.handlers.on_ssl_connection_request
        if handler is None or wire.connection.refusal is not None:
            wire.start(self._site.choose(hello))
            return
        event = events.SSLConnectionRequest(
            connection_id=self._opening.name(wire.connection),
            supported_cipher_suites=hello.suite_names(),
            supported_signature_algs=hello.signature_names(),
            server_name=hello.server_name,
            cert_store_type=self._config.cert_store_type,
            cert_store=self._config.cert_store,
            cert_password="",
            cert_subject=self._config.cert_subject,
        )
        try:
            result = handler(event)
        except self._dispatch.faults as error:
            self._failed_to_choose(wire, error)
            return
        if is_work(result):
            self._decide(wire.connection, self._choose_later(wire, event, result))
        else:
            self._chosen(wire, event)

    def shaken(self, wire: TLSFlow) -> None:
        if wire.connection in self._undecided:
            wire.wait()

    def in_order(self, step: Callable[[], None]) -> None:
        self._dispatch.in_order(step)

    def told(self, connection: Connection, lines: list[str]) -> None:
        """Fire SSLStatus for each line of progress."""
        if self._dispatch.handlers.on_ssl_status is None or connection.refusal is not None:
            return  # LogSSLPackets without a handler, or a refused client
        connection_id = self._opening.name(connection)
        for line in lines:
            event = events.SSLStatus(connection_id, line)
            self._dispatch.fire(connection, "on_ssl_status", event)

    def ended(self, wire: TLSFlow, ending: Ending) -> None:
        """Log the unexpected end of a stream, and fire Error."""
        connection = wire.connection
        verb = "lost" if connection.was_opened else "refused"
        text = f"{verb} %s: %s (%d)"
        told = (cut(ending.description), ending.code)
        self._log.about_stranger("TLS failures", connection, logging.INFO, text, *told)
        if not connection.was_opened:
            self._dispatch.row[REFUSED] += 1
        self._dispatch.error(connection.id, ending.code, ending.description)

    # -- the choice of a certificate -------------------------------------------------------

    async def _choose_later(
        self, wire: TLSFlow, event: events.SSLConnectionRequest, result: Awaitable[None]
    ) -> None:
        try:
            await self._dispatch.tasks.within(result)
        except self._dispatch.faults as error:
            raise_if_ours(error)
            self._failed_to_choose(wire, error)
        else:
            self._chosen(wire, event)

    def _decide(self, connection: Connection, decision: Coroutine[Any, Any, None]) -> None:
        """Run a decision as the connection's task: its later events wait, its end cancels it."""
        dispatch = self._dispatch

        def done(task: asyncio.Task[None]) -> None:
            if connection.task is task:
                connection.task = None
            dispatch.release(connection, HOLD_DECISION)

        dispatch.take(connection, HOLD_DECISION)
        connection.task = task = dispatch.tasks.spawn(decision)
        task.add_done_callback(done)

    def _chosen(self, wire: TLSFlow, event: events.SSLConnectionRequest) -> None:
        try:
            context = self._context(wire, event)
        except SettingError as error:
            self._failed_to_choose(wire, error)
        except TLSSetupError as error:
            wire.refuse(Ending(error.code, f"no certificate: {error.description}"), SORRY)
        else:
            wire.start(context)

    def _context(self, wire: TLSFlow, event: events.SSLConnectionRequest) -> ServerContext:
        """Return the context for the values that the handler left in the event."""
        config = self._config
        store, kind, password, subject = certificates.chosen(event)
        is_same_store = (store, kind) == (config.cert_store, config.cert_store_type)
        if is_same_store and not password:
            if subject == config.cert_subject:
                return self._site.choose(wire.engine.hello)
            password = config.cert_store_password
        return self._alternatives.get(store, kind, password, subject)

    def _failed_to_choose(self, wire: TLSFlow, error: BaseException) -> None:
        self._dispatch.failed(wire.connection.id, "on_ssl_connection_request", error)
        wire.refuse(FAILED, SORRY)

    # -- client certificates ---------------------------------------------------------------

    def _judge(self, connection: Connection, found: ClientCertificate) -> bool:
        """Decide on a client certificate, inside the handshake."""
        wire = cast(TLSFlow, connection.transport)
        lines = wire.engine.take_status()
        if lines:
            self.told(connection, lines)
        for fault in found.ignored:
            text = "client certificate of %s, %s: %s (ignored by SSLSecurityFlags)"
            kind, subject = "client certificates with ignored faults", shown(found.subject)
            self._log.about_stranger(kind, connection, logging.WARNING, text, subject, fault)
        handler = self._dispatch.handlers.on_ssl_client_authentication
        if handler is None or connection.refusal is not None:
            return found.is_trusted
        event = events.SSLClientAuthentication(
            connection_id=self._opening.name(connection),
            cert_encoded=found.encoded,
            cert_subject=found.subject,
            cert_issuer=found.issuer,
            status=found.status,
            accept=found.is_trusted,
        )
        if connection.holds & HOLD_TASK:  # on_ssl_status runs, whose turn was before
            self._undecided.add(connection)
            self._dispatch.tasks.spawn(self._judge_behind(connection, event))
            return True
        try:
            result = handler(event)
        except self._dispatch.faults as error:
            self._dispatch.failed(connection.id, "on_ssl_client_authentication", error)
            return False
        if not is_work(result):
            return event.accept
        self._undecided.add(connection)
        self._decide(connection, self._judge_later(connection, event, result))
        return True

    async def _judge_behind(
        self, connection: Connection, event: events.SSLClientAuthentication
    ) -> None:
        """Decide when the handlers of earlier events are done, unless the client has left."""
        while connection.task is not None:
            await asyncio.wait({connection.task})
        if not connection.is_attached:
            self._undecided.discard(connection)
            return

        async def ask() -> None:
            handler = self._dispatch.handlers.on_ssl_client_authentication
            result = None if handler is None else handler(event)
            if is_work(result):
                await result

        self._decide(connection, self._judge_later(connection, event, ask()))

    async def _judge_later(
        self,
        connection: Connection,
        event: events.SSLClientAuthentication,
        result: Awaitable[None],
    ) -> None:
        ending = REFUSED_LATE
        try:
            await self._dispatch.tasks.within(result)
        except self._dispatch.faults as error:
            raise_if_ours(error)
            self._dispatch.failed(connection.id, "on_ssl_client_authentication", error)
            event.accept = False
            ending = UNDECIDED
        finally:  # also of a decision that is cancelled, because the client has left
            self._undecided.discard(connection)
        wire = cast("TLSFlow | None", connection.transport)
        if wire is None:
            return  # the client disconnected meanwhile
        if event.accept:
            wire.admit()
        else:
            wire.refuse(ending)
