"""Sends of the application by connection id: `send` and `send_text` of the server.

Owns which router takes them, by the calling thread. In C (`sender-inl.h`) a message to a connection
of this shard that nothing holds back is queued without any frame of Python between the handler and
the outgoing queue; all others go to the router, as here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from shardws import arguments
from shardws.outcomes import SendOutcome
from shardws.protocol.frames import BINARY, TEXT

Data = bytes | bytearray | memoryview


class Routing(Protocol):
    """The part of a router that takes messages to one connection."""

    def send(self, connection_id: int, kind: int, payload: bytes, /) -> SendOutcome: ...


class Sender:
    """Base of the server; `route` comes before the first send."""

    __slots__ = ("_choose_routing", "_elsewhere", "_here")

    def route(
        self,
        choose: Callable[[Any, Any], Any],
        here: Routing,
        elsewhere: Routing,
        by_id: Mapping[int, Any] | None,
        /,
    ) -> None:
        """Send by the one of `here` and `elsewhere` that `choose` (ThreadMark.choose) returns.

        `by_id`: the connections whose `send` is all that `here` would call, None for no such; for
        the implementation in C.
        """
        self._choose_routing = choose
        self._here = here
        self._elsewhere = elsewhere

    def send(self, connection_id: int, data: Data) -> SendOutcome:
        """Send one binary message, from any shard."""
        payload = data if type(data) is bytes else arguments.content(data)
        choose = self._choose_routing  # a local name: calling it as a method costs twice as much
        routing: Routing = choose(self._here, self._elsewhere)
        return routing.send(connection_id, BINARY, payload)

    def send_text(self, connection_id: int, text: str | bytes) -> SendOutcome:
        """Send one text message, from any shard; UsageError (213) for what is not valid UTF-8."""
        payload = arguments.utf8(text)
        choose = self._choose_routing
        routing: Routing = choose(self._here, self._elsewhere)
        return routing.send(connection_id, TEXT, payload)
