"""From an accepted TCP connection to Connected.

Owns ids, and the decisions on the opening request: the application's, and what is negotiated.
`admission` decides who may connect. A connection that has an id but is not open yet is kept here,
so that a handler can access it; it is in the registry from Connected on.
"""

from typing import Protocol

from shardws import arguments, events, ids
from shardws.errors import HandshakeError
from shardws.net.connection import Connection
from shardws.net.connection.states import DECIDING
from shardws.protocol import deflate, handshake
from shardws.protocol.request import OpeningFields, Request
from shardws.protocol.session import Session
from shardws.routing.registry import Registry
from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard.admission import Admission
from shardws.shard.context import ShardContext
from shardws.shard.dispatch import Dispatcher
from shardws.shard.id_allocator import IdAllocator
from shardws.shard.log_events import EventLog
from shardws.stats import CONNECTED


class OpenConnections(Protocol):
    """Where a connection goes when it is open: the shard."""

    @property
    def registry(self) -> Registry: ...
    @property
    def log_events(self) -> EventLog: ...
    def enter(self, connection: Connection) -> None:
        """Note that Connected is being fired for a connection."""


class Opening:
    """The opening of one shard's connections."""

    def __init__(
        self,
        opened: OpenConnections,
        admission: Admission,
        dispatch: Dispatcher,
        settings: Settings,
        context: ShardContext,
    ) -> None:
        self._opened = opened
        self._admission = admission
        self._dispatch = dispatch
        self._settings = settings
        self._row = dispatch.row
        base = ids.pack(context.node, context.slot, context.generation, 1) - 1
        self._ids = IdAllocator(dispatch.row, base, context.on_short_ids)
        self.named: dict[int, Connection] = {}  # they have an id and are not open yet
        self.reconfigure()

    def reconfigure(self) -> None:
        """Apply the settings to future connections."""
        self.profile = deflate.Profile(self._settings[table.DEFLATE])

    def name(self, connection: Connection) -> int:
        """Return its id, allocated now if needed: the TLS events come before the request.

        It is 0 when none is left: the opening request will be refused.
        """
        if not connection.id and (given := self._ids.new_id()):
            connection.id = given
            self.named[given] = connection
        return connection.id

    def requested(self, connection: Connection, request: Request) -> None:
        """Decide on an opening request."""
        if self._admission.has_proxies:
            self._admission.identify(connection, request, self._identified)
        else:
            self._identified(connection, True)

    def _identified(self, connection: Connection, is_allowed: bool) -> None:
        """Allocate an id and ask the application, once the client is known."""
        request, fields = connection.request, connection.opening_fields
        if connection.state != DECIDING or request is None or fields is None:
            return  # it ended or timed out meanwhile
        if not is_allowed:
            connection.refuse(HandshakeError(403, "this address may not connect"))
            return
        connection.id = connection.id or self._ids.new_id()
        if not connection.id:
            connection.refuse(HandshakeError(503, "this shard has no ids left"))
            return
        if self._dispatch.handlers.on_web_socket_open_request is None:
            self._open(connection, fields, fields.sub_protocols, "")
            return
        self.named[connection.id] = connection
        event = events.WebSocketOpenRequest(
            connection_id=connection.id,
            request_uri=request.target,
            host_header=fields.host,
            origin_header=fields.origin,
            sub_protocols=fields.sub_protocols,
            extensions=fields.extensions,
            request_headers=request.headers_text,
            status_code=101,
            response_headers="",
            response_body=b"",
        )
        self._dispatch.decide(connection, "on_web_socket_open_request", event, self._decided)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that ended before it was open."""
        self.named.pop(connection.id, None)

    def _decided(self, connection: Connection, event: events.WebSocketOpenRequest) -> None:
        self.named.pop(connection.id, None)
        fields = connection.opening_fields
        if connection.state != DECIDING or fields is None:
            return  # it ended or timed out while the application decided
        if event.status_code != 101:
            self._refuse(connection, event)
            return
        self._open(connection, fields, event.sub_protocols, event.response_headers)

    def _refuse(self, connection: Connection, event: events.WebSocketOpenRequest) -> None:
        try:
            headers = handshake.parse_headers(event.response_headers)
            body = arguments.payload(event.response_body) or None
            error = HandshakeError(
                event.status_code, "refused by the application", headers, body=body
            )
            handshake.refuse(error)
        except ValueError as mistake:
            self._dispatch.failed(connection.id, "on_web_socket_open_request", mistake)
            error = HandshakeError(500, "the application failed")
        connection.refuse(error)

    def _open(
        self, connection: Connection, fields: OpeningFields, chosen: str, headers: str
    ) -> None:
        protocol = handshake.select_protocol(fields, chosen) if chosen else ""
        offered = fields.extensions
        agreed = deflate.negotiate(offered, self.profile) if offered else None
        extensions, agreement = agreed if agreed is not None else ("", None)
        try:
            response = handshake.accept(fields, protocol, extensions, headers)
        except ValueError as error:
            self._dispatch.failed(connection.id, "on_web_socket_open_request", error)
            connection.refuse(HandshakeError(500, "the application failed"))
            return
        self._row[CONNECTED] += 1
        self._opened.enter(connection)
        session = Session(connection.config.session, agreement)
        self._opened.registry.add(connection)  # before the response: an id that is taken raises
        connection.open(response, session)
        if self.named:
            self.named.pop(connection.id, None)
        self._opened.log_events.opened(connection)
        self._dispatch.opened(connection)
        connection.feed_rest()
