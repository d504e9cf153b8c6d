"""What a shard logs about its connections, and the event Log.

Owns the lines about connections, and which lines fire the event by LogLevel: 1 information, 2 also
details (VERBOSE), 3 also debugging. The event does not depend on how `logging` is configured, and
is fired in the next turn of the loop: a line may be written inside any code.

Opened and ended connections are level 1 in the event; in the log they are VERBOSE unless
LogConnections says otherwise. Messages are reported only by the event, by size, and cost nothing
below level 3: see `traced`.
"""

import logging
from collections.abc import Callable
from typing import Final

from shardws import events
from shardws.errors import HandshakeError
from shardws.log import VERBOSE, Adapter, address_of, cut, redact_query, shown
from shardws.net.connection import Connection
from shardws.protocol.session import Ending, Item
from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard import negotiated
from shardws.shard.dispatch import Dispatcher

OFF: Final = logging.CRITICAL + 1
THRESHOLDS: Final = (OFF, logging.INFO, VERBOSE, logging.DEBUG)  # by LogLevel
LONGEST_REASON: Final = 400  # characters of why a request is refused
NAMES: Final = ("", "Info", "Verbose", "Debug")  # by log_level: the event's log_type
DEBUG: Final = 3
KINDS: Final = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
MOST_WAITING: Final = 1000  # lines waiting for the event; further ones are only counted


Received = Callable[[Connection, list[Item], int], None]


def level_of(number: int) -> int:
    """Return the log_level 1, 2 or 3 of a level of `logging`."""
    if number >= logging.INFO:
        return 1
    return 2 if number >= VERBOSE else 3


class EventLog:
    """The log of one shard."""

    def __init__(self, dispatch: Dispatcher, settings: Settings, *others: Adapter) -> None:
        """Lines of the dispatcher's log, and of `others`, fire the event."""
        self._dispatch = dispatch
        self._settings = settings
        self._log = dispatch.log
        self._unwatched = dispatch.log.unwatched
        self._adapters = (dispatch.log, *others)
        self._waiting: list[events.Log] = []
        self._left_out = 0
        self.reconfigure()

    def reconfigure(self) -> None:
        """Apply LogLevel, LogConnections and LogQueries."""
        settings = self._settings
        for adapter in self._adapters:
            adapter.watch(self._heard, THRESHOLDS[settings[table.LOG_LEVEL]])
        self._event_level = settings[table.LOG_LEVEL]
        self._level = logging.INFO if settings[table.LOG_CONNECTIONS] else VERBOSE
        self._shows_queries = settings[table.LOG_QUERIES]

    # -- lines about connections -------------------------------------------------------------

    def refused(self, connection: Connection, error: HandshakeError) -> None:
        """Write that an opening request was refused."""
        kind, text = f"clients refused with {error.status}", "refused %s: %d %s"
        why = cut(error.detail or error.description, LONGEST_REASON)
        self._log.about_stranger(kind, connection, logging.INFO, text, error.status, why)

    def resumed(self, connection: Connection) -> None:
        """Write that a connection goes on here."""
        origin = connection.resumed
        if origin is not None and (self._event_level or self._log.isEnabledFor(self._level)):
            where = f"shard {origin.slot} generation {origin.generation}"
            self._note(connection, "resumed for %s: %s of %s", origin.cause, where)

    def opened(self, connection: Connection) -> None:
        """Write that a connection opened."""
        request = connection.request
        if request is None or not self._tells:
            return
        target = cut(request.target if self._shows_queries else redact_query(request.target))
        self._note(connection, "opened for %s: %s", target)
        if self._event_level > 1:
            self._log.about(
                connection,
                VERBOSE,
                "asked by %s: sub-protocols %s, extensions %s, origin %s; %s",
                shown(request.sub_protocols),
                shown(request.extensions),
                shown(request.origin),
                negotiated.describe(connection),
            )

    def ended(self, connection: Connection, ending: Ending) -> None:
        """Write that an open connection ended."""
        if self._tells:
            self._note(connection, "ended for %s: %d %r", ending.code, ending.reason)

    @property
    def _tells(self) -> bool:
        """Whether anybody hears of connections that open and end."""
        if self._event_level and self._dispatch.handlers.on_log is not None:
            return True
        return self._log.logger.isEnabledFor(self._level)

    def _note(self, connection: Connection, text: str, *arguments: object) -> None:
        """Fire the event at level 1, and log at the level that LogConnections sets."""
        self._unwatched.about(connection, self._level, text, *arguments)
        if self._event_level and self._dispatch.handlers.on_log is not None:
            line = text % (address_of(connection), *arguments)
            self._heard(connection.id, logging.INFO, line, "")

    def traced(self, received: Received) -> Received:
        """Return the handler for the items of one read: at level 3 it reports each first."""
        if self._event_level < DEBUG:
            return received

        def tell(connection: Connection, items: list[Item], size: int) -> None:
            for kind, payload, eom in items:
                end = "" if eom else ", more to come"
                line = f"received {KINDS.get(kind, kind)}, {len(payload)} bytes{end}"
                self._heard(connection.id, logging.DEBUG, line, "")
            received(connection, items, size)

        return tell

    # -- the event ---------------------------------------------------------------------------

    def _heard(self, connection_id: int, level: int, message: str, name: str) -> None:
        dispatch = self._dispatch
        if dispatch.handlers.on_log is None or dispatch.loop.is_closed():
            return
        if len(self._waiting) >= MOST_WAITING:
            self._left_out += 1
            return
        if not self._waiting:
            dispatch.loop.call_soon(self._tell)
        number = level_of(level)
        self._waiting.append(events.Log(connection_id, number, message, NAMES[number]))

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._left_out:
            text = f"{self._left_out} lines were left out"
            waiting.append(events.Log(0, 1, text, NAMES[1]))
            self._left_out = 0
        for event in waiting:
            self._dispatch.fire_remote("on_log", event)
