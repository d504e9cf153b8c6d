"""From events of the server to the routes of an application.

Owns the clients of routes in this shard, by connection id, and the task of each. Events of all
other connections go to the handlers that the application has set on the server.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final

from shardws.app.layered_handlers import LayeredHandlers
from shardws.app.opening import Acceptance, Opening
from shardws.app.refusal import Refuse
from shardws.app.request import segments_of, split_target
from shardws.app.routes import Parameters, Route, Routes
from shardws.app.websocket import WebSocket
from shardws.close_reasons import HANDLER_FAILED
from shardws.errors import NoSuchConnection
from shardws.events import (
    FORMAT_BINARY,
    FORMAT_TEXT,
    Connected,
    DataIn,
    Disconnected,
    Handler,
    ReadyToSend,
    WebSocketOpenRequest,
)
from shardws.server import WebSocketServer
from shardws.shard.shard import Shard
from shardws.shard.tasks import raise_if_ours

GOODBYE: Final = 1000  # when a route is done


class Sessions:
    """The clients of one application in one shard."""

    def __init__(self, server: WebSocketServer, routes: Routes) -> None:
        self.server: Final = server
        self.send: Final = server.send
        self.send_text: Final = server.send_text
        self._routes = routes
        self._own = server.handlers
        self._opening: dict[int, WebSocket] = {}
        self._open: dict[int, WebSocket] = {}
        self._shard: Shard | None = None  # from `begin` on
        self.loop: asyncio.AbstractEventLoop

    def layer(self, start: Handler, stop: Handler) -> None:
        """Put the handlers of routes in front of the server's."""
        server, own = self.server, self._own
        names: dict[str, Handler] = {
            "on_start": start,
            "on_stop": stop,
            "on_web_socket_open_request": self._requested,
            "on_connected": self._connected,
            "on_ready_to_send": self._ready_to_send,
            "on_data_in": self._data_in,
            "on_disconnected": self._disconnected,
        }
        server.handlers = LayeredHandlers(own, names)

    def begin(self, shard: Shard) -> None:
        """Serve the routes in this shard, on whose loop it is called."""
        self._shard = shard
        self.loop = shard.loop

    @property
    def shard(self) -> Shard:
        assert self._shard is not None
        return self._shard

    # -- opening -----------------------------------------------------------------------------

    def _requested(self, e: WebSocketOpenRequest) -> Awaitable[None] | None:
        segments = segments_of(split_target(e.request_uri)[0])
        found = None if segments is None else self._routes.match(segments)
        if found is not None:
            return self._decide(e, *found)
        own = self._own.on_web_socket_open_request
        if own is not None:
            return own(e)
        e.status_code, e.response_body = 404, "no such path\n"
        return None

    async def _decide(self, e: WebSocketOpenRequest, route: Route, params: Parameters) -> None:
        """Run the route up to its verdict, within the time that the opening may take."""
        opening = Opening(self.loop, e.sub_protocols)
        ws = WebSocket(self, e.connection_id, e.request_uri, params, opening)
        task = self.shard.dispatch.tasks.spawn(self._serve(ws, route))
        ws.serve(task)
        limit = self.server.default_connection_timeout
        try:
            async with asyncio.timeout(limit or None):
                verdict = await opening.verdict
        except BaseException:
            ws.ended(1006, "it was not accepted in time")
            raise
        if isinstance(verdict, Acceptance):
            e.sub_protocols, e.response_headers = verdict.subprotocol, verdict.headers
            self._opening[ws.id] = ws
            self.loop.call_soon(self._look, ws)
        else:
            e.status_code, e.response_headers = verdict.status, verdict.headers
            e.response_body = verdict.body

    def _look(self, ws: WebSocket) -> None:
        """See whether it was opened: the client may have left while the route decided."""
        if ws.id in self._opening and ws.id not in self.server.connections:
            del self._opening[ws.id]
            ws.ended(1006, "it left before it was open")

    def _connected(self, e: Connected) -> Awaitable[None] | None:
        ws = self._opening.pop(e.connection_id, None)
        if ws is None:
            own = self._own.on_connected
            return own(e) if own is not None else None
        self._open[ws.id] = ws
        ws.opened()
        return None

    # -- while it is open --------------------------------------------------------------------

    def _data_in(self, e: DataIn) -> Awaitable[None] | None:
        connection_id, kind, payload, _ = e
        ws = self._open.get(connection_id)
        if ws is None:
            own = self._own.on_data_in
            return own(e) if own is not None else None
        if kind == FORMAT_TEXT:
            ws.incoming(payload.decode())
        elif kind == FORMAT_BINARY:
            ws.incoming(payload)
        return None

    def _ready_to_send(self, e: ReadyToSend) -> Awaitable[None] | None:
        ws = self._open.get(e.connection_id)
        if ws is None:
            own = self._own.on_ready_to_send
            return own(e) if own is not None else None
        ws.ready()
        return None

    def _disconnected(self, e: Disconnected) -> Awaitable[None] | None:
        ws = self._open.pop(e.connection_id, None) or self._opening.pop(e.connection_id, None)
        if ws is None:
            own = self._own.on_disconnected
            return own(e) if own is not None else None
        ws.ended(e.status_code, e.description)
        return None

    def outlived(self, connection_id: int, task: "asyncio.Task[None]") -> None:
        dispatch = self.shard.dispatch
        patience = dispatch.tasks.patience
        dispatch.tasks.expect(task, lambda: dispatch.outlived(connection_id, patience))

    # -- the task of a client ----------------------------------------------------------------

    async def _serve(self, ws: WebSocket, route: Route) -> None:
        try:
            await route.handler(ws, **ws.path_params)
        except Refuse as refusal:
            if not ws.refuse(refusal):
                await self._failed(ws, route, refusal)
        except self.shard.dispatch.faults as error:
            raise_if_ours(error)
            if not (isinstance(error, NoSuchConnection) and ws.close_code):
                await self._failed(ws, route, error)
        else:
            await self._end(ws, Refuse(403, "not accepted\n"), GOODBYE, "")

    async def _failed(self, ws: WebSocket, route: Route, error: BaseException) -> None:
        """Report what a route has raised, and end its client."""
        self.shard.dispatch.failed(ws.id, f"route {route.pattern}", error)
        refusal = Refuse(500, "the application failed\n")
        await self._end(ws, refusal, HANDLER_FAILED.code, HANDLER_FAILED.text)

    async def _end(self, ws: WebSocket, refusal: Refuse, code: int, reason: str) -> None:
        """End a client whose route is over, whether it was accepted or not."""
        if not ws.refuse(refusal):
            await ws.be_open()  # another task of the route may have accepted it just now
            if ws.is_open:
                ws.close(code, reason)
