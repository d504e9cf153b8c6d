"""Who may connect: MaxConnections, AllowedClients, the event ConnectionRequest, trusted proxies.

Owns these decisions; of an opening request it reads only the headers that a proxy wrote. Facts to
have before reading:

- ConnectionRequest gives the TCP address, or that of the PROXY header. Its `accept` is preset by
  AllowedClients and MaxConnections; a handler may overrule only the first.
- A trusted proxy may always connect: AllowedClients then applies to the client whose address it
  gives in X-Forwarded-For or Forwarded, and to the proxy itself when it gives none.
- A client that is not admitted, because of its address, or because the server is full or has no
  descriptor for it (`descriptors`), does not count as a connection, though it stays open for its
  response; when too many stay, or descriptors are too few, further ones get none. A TLS client that
  is refused by its address gets none either: TLS begins only after admission.
- A connection whose WebSocket has ended while TCP lingers does not count; its descriptor does.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from shardws import events
from shardws.errors import HandshakeError, StartError
from shardws.net.addresses import AllowedClients, Networks
from shardws.net.config import ConnectionConfig
from shardws.net.connection import Connection
from shardws.net.connection.states import (
    COUNTED,
    HOLD_DECISION,
    LINGERING,
    OPENING,
    TURNED_AWAY,
)
from shardws.net.forwarded import forwarded_client, forwarded_scheme
from shardws.net.interning import InternedTexts
from shardws.net.proxy_header import ProxyHeader, ProxyHeaderOwner
from shardws.net.resolver import REFRESH_S, Resolver, SystemLookup
from shardws.net.tls import TLSTransport
from shardws.protocol.request import Request
from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard import descriptors
from shardws.shard.context import ShardContext
from shardws.shard.descriptors import Descriptors
from shardws.shard.dispatch import Dispatcher
from shardws.stats import ACCEPTED, CONNECTIONS, NO_DESCRIPTORS

RETRY_AFTER_S: Final = 5
MOST_TURNED_AWAY: Final = 1000
NO_PROXY: Final = "off"

Verdict = Callable[[Connection, bool], None]


class ConnectionMaker(ProxyHeaderOwner, Protocol):
    """Creates the admitted connections: the shard."""

    @property
    def config(self) -> ConnectionConfig: ...
    @property
    def interned(self) -> InternedTexts: ...


class Admission:
    """Who may connect to one shard."""

    def __init__(
        self,
        maker: ConnectionMaker,
        dispatch: Dispatcher,
        settings: Settings,
        context: ShardContext,
    ) -> None:
        self._maker = maker
        self._dispatch = dispatch
        self._settings = settings
        self._stats = context.stats
        self._log = dispatch.log
        self._row = dispatch.row
        self._uncounted = [0, 0, 0]  # by states.TURNED_AWAY, LINGERING
        self._proxied: set[ProxyHeader] = set()  # those that wait for a PROXY header
        limit, page = descriptors.limit_now(), context.page
        # A connection outside the census would be lost unreported with this process.
        self._descriptors = Descriptors(self._log, limit, limit if page is None else page.capacity)
        self._setting = ""  # the AllowedClients that `_clients` was made from
        self._clients = AllowedClients("*")
        self._resolver: Resolver | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self.reconfigure()

    def reconfigure(self) -> None:
        """Apply the settings to future clients."""
        settings = self._settings
        self._limit = settings[table.MAX_CONNECTIONS]
        trusted: tuple[str, ...] = settings[table.TRUSTED_PROXIES]
        self._trusted = Networks(trusted)
        self.has_proxies = bool(self._trusted)
        self._proxy_versions = settings[table.PROXY_PROTOCOL]
        if self._proxy_versions != NO_PROXY and not self._trusted:
            self._log.warning("ProxyProtocol has no effect: TrustedProxies is empty")
        if self._setting == settings[table.ALLOWED_CLIENTS]:
            return
        self._clients = AllowedClients(settings[table.ALLOWED_CLIENTS])
        self._setting = settings[table.ALLOWED_CLIENTS]
        self._stop_refreshing()
        self._resolver = Resolver(self._clients, SystemLookup(), log=self._log)
        if self._clients.names:
            self._refreshing = self._dispatch.loop.create_task(_refresh(self._resolver))

    def close(self) -> None:
        """Stop admitting: drop everything that waits."""
        for waiting in list(self._proxied):
            waiting.abort()
        self._stop_refreshing()

    def _stop_refreshing(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._refreshing = None

    def resolve_limit(self) -> None:
        """Let MaxConnections read as the limit of this process when it serves alone.

        StartError (10024) when more is requested than its descriptors allow, or none fits.
        """
        settings = self._settings
        limit = descriptors.limit_now()
        wanted, most = settings[table.MAX_CONNECTIONS], limit - descriptors.OWN
        if wanted > most or most < 1:
            reason = f"MaxConnections is {wanted}, but RLIMIT_NOFILE {limit} allows {max(0, most)}"
            raise StartError(reason, code=10024)
        settings.resolve(table.MAX_CONNECTIONS, wanted or most)
        self._limit = settings[table.MAX_CONNECTIONS]
        self._descriptors = Descriptors(self._log, limit, most)

    # -- descriptors -------------------------------------------------------------------------

    def look(self) -> None:
        """Count the descriptors again; called by the shard at each tick."""
        self._descriptors.look(self._clients_here())

    def dropped(self) -> None:
        """Count a socket that was handed over, but for which there was no descriptor."""
        self._row[ACCEPTED] += 1
        self._refuse_for_descriptors()

    def _refuse_for_descriptors(self) -> None:
        self._row[NO_DESCRIPTORS] += 1
        self._descriptors.refuse(self._clients_here())

    def _clients_here(self) -> int:
        return int(self._row[CONNECTIONS]) + sum(self._uncounted) + len(self._proxied)

    # -- a PROXY header ----------------------------------------------------------------------

    def make_protocol(self) -> asyncio.Protocol:
        """Return the protocol for a newly accepted socket."""
        maker = self._maker
        if self._proxy_versions == NO_PROXY:
            return maker.connect(None)
        seconds = maker.config.open_timeout
        return ProxyHeader(maker, self._proxy_versions, self._trusted, seconds, self._proxied)

    # -- a TCP connection --------------------------------------------------------------------

    def accepted(self, connection: Connection) -> None:
        """Count a new TCP connection and decide on it; reading starts after the decision."""
        row = self._row
        row[ACCEPTED] += 1
        row[CONNECTIONS] += 1
        if self._limit and self._stats.total(CONNECTIONS) > self._limit:
            self._turn_away(connection)
        elif self._clients_here() > self._descriptors.room:
            self._refuse_for_descriptors()
            self._turn_away(connection)
        elif not self._clients.is_open:
            self._verify(connection, self._ask)
        elif self._dispatch.handlers.on_connection_request is not None:
            self._ask(connection, True)

    def lost(self, connection: Connection) -> None:
        """Stop counting a TCP connection that ended."""
        extras = connection.extras
        if extras is None or extras.place == COUNTED:
            self._row[CONNECTIONS] -= 1
        else:
            self._uncounted[extras.place] -= 1

    def moved(self) -> None:
        """Stop counting a connection that went to another process."""
        self._row[CONNECTIONS] -= 1

    def retaken(self) -> None:
        """Count a connection again that came back."""
        self._row[CONNECTIONS] += 1

    def has_room(self) -> bool:
        """Count a connection that came from another process; tell whether it may stay.

        MaxConnections counts the server's connections, and it was one before.
        """
        self._row[CONNECTIONS] += 1
        return self._clients_here() <= self._descriptors.room

    def lingers(self, connection: Connection) -> None:
        """Stop counting it, though TCP has not ended."""
        if _place_of(connection) == COUNTED:
            self._uncount(connection, LINGERING)

    def _uncount(self, connection: Connection, place: int) -> None:
        self._row[CONNECTIONS] -= 1
        self._uncounted[place] += 1
        connection.extra().place = place

    def _turn_away(self, connection: Connection) -> None:
        self._uncount(connection, TURNED_AWAY)
        if not self._may_stay():
            connection.abort()
        elif self._dispatch.handlers.on_connection_request is None:
            connection.deny(_full())
        else:
            self._ask(connection, False)

    def _refuse(self, connection: Connection) -> None:
        """Refuse a client because of its address."""
        self._uncount(connection, TURNED_AWAY)
        error = HandshakeError(403, "this address may not connect")
        if not self._may_stay():
            connection.abort()
        elif isinstance(connection.transport, TLSTransport):
            connection.refuse(error)
        else:
            connection.deny(error)

    def _may_stay(self) -> bool:
        """Tell whether one more may stay for its response."""
        can_wait = self._descriptors.allow_response(self._clients_here())
        return can_wait and self._uncounted[TURNED_AWAY] <= MOST_TURNED_AWAY

    def _ask(self, connection: Connection, is_allowed: bool) -> None:
        """Ask on_connection_request."""
        if self._dispatch.handlers.on_connection_request is None:
            self._admit(connection, is_allowed)
            return
        event = events.ConnectionRequest(
            address=connection.remote_host, port=connection.remote_port, accept=is_allowed
        )
        self._dispatch.decide(connection, "on_connection_request", event, self._decided)

    def _decided(self, connection: Connection, event: events.ConnectionRequest) -> None:
        self._admit(connection, event.accept)

    def _admit(self, connection: Connection, is_allowed: bool) -> None:
        if connection.state != OPENING:
            return  # it ended or timed out meanwhile
        if _place_of(connection) == TURNED_AWAY:
            connection.deny(_full())
        elif not is_allowed:
            self._refuse(connection)
        else:
            connection.feed_early()

    # -- its opening request -----------------------------------------------------------------

    def identify(self, connection: Connection, request: Request, then: Verdict) -> None:
        """Find the client behind a proxy; `then` is told whether it may connect."""
        peer = connection.remote_host
        host, port = forwarded_client(request.headers_text, peer, self._trusted)
        if host != peer:
            connection.remote_host = self._maker.interned.shared(host)
            connection.remote_port = port or 0
        if peer in self._trusted:
            self._verify(connection, then, is_behind=True)
        else:
            then(connection, True)  # decided at accept

    def is_secure(self, connection: Connection, request: Request, *, has_tls: bool) -> bool:
        """Tell whether the client came by TLS, to this server or to a trusted proxy before it."""
        if not self.has_proxies:
            return has_tls
        told = forwarded_scheme(request.headers_text, connection.remote_host, self._trusted)
        return told == "https" if told else has_tls

    def _verify(self, connection: Connection, then: Verdict, is_behind: bool = False) -> None:
        """Tell `then` whether AllowedClients admits the client, perhaps after resolving names."""
        address = connection.remote_host
        if not is_behind and address in self._trusted:
            then(connection, True)
            return
        verdict = self._clients.verdict(address)
        if verdict is not None or self._resolver is None:
            then(connection, bool(verdict))
            return
        self._dispatch.take(connection, HOLD_DECISION)
        self._dispatch.tasks.spawn(self._resolve(self._resolver, connection, then))

    async def _resolve(self, resolver: Resolver, connection: Connection, then: Verdict) -> None:
        is_allowed = await resolver.admit(connection.remote_host)
        self._dispatch.release(connection, HOLD_DECISION)
        then(connection, is_allowed)


def _place_of(connection: Connection) -> int:
    return COUNTED if connection.extras is None else connection.extras.place


def _full() -> HandshakeError:
    return HandshakeError(503, "the server is full", (("Retry-After", str(RETRY_AFTER_S)),))


async def _refresh(resolver: Resolver) -> None:
    while True:
        await resolver.refresh()
        await asyncio.sleep(REFRESH_S)
