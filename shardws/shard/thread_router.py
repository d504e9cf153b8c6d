"""The router for threads other than the loop's: each call is passed to the loop.

Has the same methods as `routing.router.Router` and the checks that need no connection, which raise
in the caller.
"""

from collections.abc import Callable
from typing import Any

from shardws.interfaces import Source
from shardws.outcomes import Outcome, SendOutcome
from shardws.routing.groups import check_name
from shardws.routing.router import Router, check_closing
from shardws.shard.thread_calls import ThreadCalls
from shardws.shard.thread_send import SendCall, ThreadSend


class StreamCall(SendCall):
    """A send that releases its source when it is not made."""

    __slots__ = ("_source",)

    def __init__(self, calls: ThreadCalls, source: Source, *arguments: Any) -> None:
        super().__init__(calls, *arguments)
        self._source = source

    def refuse(self, outcome: Outcome) -> None:
        self._source.finish(outcome)
        super().refuse(outcome)


class ThreadRouter:
    """Passes calls to the router; a send never blocks here, whatever its Timeout."""

    def __init__(self, router: Router, calls: ThreadCalls) -> None:
        self._router = router
        self._calls = calls

    def send(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        """See Router.send; what does not fit into the queue to the loop is FULL."""
        size = len(payload)
        return self._hand(connection_id, size, self._router.send, connection_id, kind, payload)

    def stream(self, connection_id: int, kind: int, source: Source) -> SendOutcome:
        """See Router.stream."""
        arguments = connection_id, kind, source
        call = StreamCall(self._calls, source, connection_id, 0, self._router.stream, arguments)
        try:
            self._calls.offer(call)
        except BaseException:
            source.finish(Outcome.UNREACHABLE)
            raise
        return ThreadSend(call)

    def disconnect(self, connection_id: int, code: int = 1000, reason: str = "") -> SendOutcome:
        """See Router.disconnect."""
        check_closing(code, reason)
        return self._hand(connection_id, 0, self._router.disconnect, connection_id, code, reason)

    def join(self, connection_id: int, group: str) -> SendOutcome:
        """See Router.join."""
        check_name(group)
        return self._hand(connection_id, 0, self._router.join, connection_id, group)

    def leave(self, connection_id: int, group: str) -> SendOutcome:
        """See Router.leave."""
        check_name(group)
        return self._hand(connection_id, 0, self._router.leave, connection_id, group)

    def publish(self, group: str, kind: int, payload: bytes) -> SendOutcome:
        """See Router.publish."""
        check_name(group)
        return self._hand(0, len(payload), self._router.publish, group, kind, payload)

    def broadcast(self, kind: int, payload: bytes) -> SendOutcome:
        """See Router.broadcast."""
        return self._hand(0, len(payload), self._router.broadcast, kind, payload)

    def _hand(
        self,
        connection_id: object,
        size: int,
        function: Callable[..., SendOutcome],
        *arguments: Any,
    ) -> SendOutcome:
        call = SendCall(self._calls, connection_id, size, function, arguments)
        self._calls.offer(call)
        return ThreadSend(call)
