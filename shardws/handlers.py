"""The `on_<event>` attributes of WebSocketServer, one property each.

Owns nothing but the names: values live in `events.Handlers`, which the shard reads at each event,
so that a handler may be replaced or removed (None) at run time.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

from shardws import events
from shardws.errors import UsageError
from shardws.events import Handlers

E = TypeVar("E")


def is_generator(handler: object) -> bool:
    """Tell whether calling it only creates a generator, because it contains a `yield`."""
    called = inspect.getattr_static(type(handler), "__call__", None)  # of an object
    return any(
        inspect.isgeneratorfunction(part) or inspect.isasyncgenfunction(part)
        for part in (handler, called)
    )


class HandlerAttribute(Generic[E]):
    """One `on_<event>`: a callable or coroutine function of one argument, or None."""

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "HandlerAttribute[E]": ...
    @overload
    def __get__(
        self, instance: "HandlerAttributes", owner: type
    ) -> Callable[[E], Awaitable[None] | None] | None: ...
    def __get__(self, instance: "HandlerAttributes | None", owner: type) -> Any:
        return self if instance is None else instance.handlers.given(self.name)

    def __set__(
        self,
        instance: "HandlerAttributes",
        handler: Callable[[E], Awaitable[None] | None] | None,
    ) -> None:
        if handler is not None and not callable(handler):
            raise UsageError(f"{self.name} takes a callable or None, not {handler!r}", code=213)
        if is_generator(handler):
            raise UsageError(
                f"{self.name} takes a function or a coroutine function; {handler!r} is a generator"
                " function, whose code would never run",
                code=213,
            )
        instance.handlers.take(self.name, handler)


class HandlerAttributes:
    """One attribute for each event."""

    __slots__ = ()

    handlers: Handlers

    on_connection_request = HandlerAttribute[events.ConnectionRequest]()
    on_ssl_connection_request = HandlerAttribute[events.SSLConnectionRequest]()
    on_ssl_status = HandlerAttribute[events.SSLStatus]()
    on_ssl_client_authentication = HandlerAttribute[events.SSLClientAuthentication]()
    on_web_socket_open_request = HandlerAttribute[events.WebSocketOpenRequest]()
    on_connected = HandlerAttribute[events.Connected]()
    on_resumed = HandlerAttribute[events.Resumed]()
    on_data_in = HandlerAttribute[events.DataIn]()
    on_ready_to_send = HandlerAttribute[events.ReadyToSend]()
    on_disconnected = HandlerAttribute[events.Disconnected]()
    on_error = HandlerAttribute[events.Error]()
    on_log = HandlerAttribute[events.Log]()
    on_start = HandlerAttribute[events.Start]()
    on_stop = HandlerAttribute[events.Stop]()
