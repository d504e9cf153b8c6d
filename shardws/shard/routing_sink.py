"""What routing reports to a shard, and requests of it (interfaces.RoutingSink).

Owns the resulting events and the replies. The queries:

    of a connection   snapshot     its properties, as shard.snapshot has them
                      set OBJECT   the same, after the properties in this JSON object were set
    of the shard      ids          the ids of its open connections (id 0)
                      configure OBJECT   nothing, after the settings in it were set (id 0)
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from shardws import arguments, events
from shardws.errors import ERROR_CODES, NoSuchConnection, ShardwsError, UsageError
from shardws.outcomes import OUTCOME_CODES, Outcome
from shardws.routing.registry import Registry
from shardws.shard import snapshot
from shardws.shard.dispatch import Dispatcher
from shardws.shard.loop_thread import LoopThread
from shardws.shard.view import ConnectionView

ALL_IDS: Final = "ids"
SET: Final = "set "
CONFIGURE: Final = "configure "
SETTABLE: Final = frozenset(
    {"accept_data", "data_format", "message_length", "timeout", "user_data"}
)


def encoded(values: Mapping[str, object]) -> str:
    """Return values of properties as JSON; UsageError (213) for what no property takes."""
    plain = dict(values)
    if "user_data" in plain:
        content = arguments.content(plain["user_data"], "user_data")
        plain["user_data"] = base64.b64encode(content).decode()
    try:
        return json.dumps(plain)
    except (TypeError, ValueError):
        text = "the properties are booleans and whole numbers, and user_data"
        raise UsageError(text, code=213) from None


def decoded(text: str) -> dict[str, Any]:
    """Return what `encoded` was given."""
    values: dict[str, Any] = json.loads(text)
    if "user_data" in values:
        values["user_data"] = base64.b64decode(values["user_data"])
    return values


def change(view: ConnectionView, values: dict[str, Any]) -> None:
    """Set properties of a connection; UsageError (213) for one that cannot be set so."""
    unknown = values.keys() - SETTABLE
    if unknown:
        raise UsageError(f"cannot be set: {', '.join(sorted(unknown))}", code=213)
    for name, value in values.items():
        setattr(view, name, value)


# Error events per second for failed sends to one connection; the rest is counted. Otherwise an
# on_error that sends to the failed client would loop for ever once that client is gone.
BURST: Final = 32
SECOND: Final = 1.0


class ShardRoutingSink:
    """One for each shard."""

    def __init__(
        self,
        dispatch: Dispatcher,
        registry: Registry,
        view: Callable[[int], ConnectionView],
        thread: LoopThread,
        configure: Callable[[str], None],
    ) -> None:
        """`view` returns the properties of a connection here, or raises NoSuchConnection."""
        self._thread = thread
        self._configure = configure
        self._dispatch = dispatch
        self._registry = registry
        self._view = view
        self._recent: dict[int, int] = {}  # failures of each connection in the running second

    def send_failed(self, connection_id: int, outcome: Outcome, count: int = 1) -> None:
        """Fire Error for sends nobody awaited; later, since this may run inside any code.

        It may run in any thread, as the garbage collector does.
        """
        loop = self._dispatch.loop
        if loop.is_closed() or self._thread.is_forked:
            return
        if not self._thread.is_here:
            loop.call_soon_threadsafe(self.send_failed, connection_id, outcome, count)
            return
        if not self._recent:
            loop.call_later(SECOND, self._sum_up)
        before = self._recent.get(connection_id, 0)
        self._recent[connection_id] = before + count
        for _ in range(min(count, BURST - before)):
            loop.call_soon(self._fire_failed, connection_id, outcome)

    def call_failed(self, connection_id: int, error: Exception) -> None:
        """Fire Error for an exception of another thread's call that was never retrieved."""
        code = error.code if isinstance(error, ShardwsError) else 436
        self._dispatch.log.error("a call of another thread failed", exc_info=error)
        self._tell(connection_id, code, f"a call of another thread failed: {error!r:.200}")

    def _fire_failed(self, connection_id: int, outcome: Outcome) -> None:
        code = OUTCOME_CODES[outcome]
        self._tell(connection_id, code, f"a send was not delivered: {ERROR_CODES[code].text}")

    def _sum_up(self) -> None:
        recent, self._recent = self._recent, {}
        for connection_id, count in recent.items():
            if count > BURST:
                self._tell(connection_id, 1120, f"{count - BURST} more sends were not delivered")

    def _tell(self, connection_id: int, code: int, text: str) -> None:
        dispatch = self._dispatch
        if dispatch.handlers.on_error is None:
            extra = {"connection_id": connection_id}
            dispatch.log.info("connection %d: %s", connection_id, text, extra=extra)
        dispatch.error(connection_id, code, text)

    def stream_failed(self, connection_id: int, code: int, description: str) -> None:
        """Fire Error for a file that could not be read to its end, on the shard that read it."""
        self._tell(connection_id, code, description)

    def sends_lost(self, count: int) -> None:
        """Fire one Error for the sends that were in doubt when a link broke."""
        text = f"{count} sends to a shard that went down may not have arrived"
        self._tell(0, OUTCOME_CODES[Outcome.UNREACHABLE], text)

    def ready_to_send(self, connection_id: int) -> None:
        """A connection of another shard that was FULL takes messages again."""
        event = events.ReadyToSend(connection_id)
        self._dispatch.fire_remote("on_ready_to_send", event)

    def reply(self, connection_id: int, what: str) -> bytes | None:
        """Reply to another shard about a connection here, or (id 0) this one; None: unknown."""
        if not connection_id:
            if what.startswith(CONFIGURE):
                self._configure(what[len(CONFIGURE) :])
                return b"{}"
            if what != ALL_IDS:
                raise UsageError(f"a shard can be asked for {ALL_IDS!r}", code=213)
            return json.dumps(list(self._registry)).encode()
        try:
            view = self._view(connection_id)
        except NoSuchConnection:
            return None
        if what.startswith(SET):
            change(view, decoded(what[len(SET) :]))
        elif what != snapshot.QUERY:
            raise UsageError(f"a connection can be asked for {snapshot.QUERY!r}", code=213)
        return snapshot.encode(snapshot.take(view))
