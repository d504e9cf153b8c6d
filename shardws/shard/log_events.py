"""What a shard writes into its log, and the event Log made of it.

Owns the lines about connections, and which lines the application hears of by LogLevel: 1
information, 2 also details (VERBOSE), 3 also debugging. The event does not depend on how `logging`
is configured, and is fired in the next turn of the loop: a line may be written inside any code.
"""

import logging
from typing import Final

from shardws import events
from shardws.errors import HandshakeError
from shardws.log import VERBOSE, Adapter, cut, redact_query
from shardws.net.connection import Connection
from shardws.protocol.session import Ending
from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard.dispatch import Dispatcher

OFF: Final = logging.CRITICAL + 1
THRESHOLDS: Final = (OFF, logging.INFO, VERBOSE, logging.DEBUG)  # by LogLevel
LONGEST_REASON: Final = 400  # characters of why a request is refused
MOST_WAITING: Final = 1000  # lines that wait to be told; more are told as a number


def level_of(number: int) -> int:
    """Return the log_level 1, 2 or 3 of a level of `logging`."""
    if number >= logging.INFO:
        return 1
    return 2 if number >= VERBOSE else 3


class EventLog:
    """The log of one shard."""

    def __init__(self, dispatch: Dispatcher, settings: Settings, *others: Adapter) -> None:
        """Lines of the dispatcher's log, and of `others`, are told by the event."""
        self._dispatch = dispatch
        self._settings = settings
        self._log = dispatch.log
        self._adapters = (dispatch.log, *others)
        self._waiting: list[events.Log] = []
        self._left_out = 0
        self.reconfigure()

    def reconfigure(self) -> None:
        """Take over LogLevel, LogConnections and LogQueries."""
        settings = self._settings
        for adapter in self._adapters:
            adapter.watch(self._heard, THRESHOLDS[settings[table.LOG_LEVEL]])
        self._level = logging.INFO if settings[table.LOG_CONNECTIONS] else VERBOSE
        self._shows_queries = settings[table.LOG_QUERIES]

    # -- lines about connections -------------------------------------------------------------

    def refused(self, connection: Connection, error: HandshakeError) -> None:
        """Write that an opening request was refused."""
        kind, text = f"clients refused with {error.status}", "refused %s: %d %s"
        why = cut(error.detail or error.description, LONGEST_REASON)
        self._log.about_stranger(kind, connection, logging.INFO, text, error.status, why)

    def opened(self, connection: Connection) -> None:
        """Write that a connection opened."""
        if not self._log.isEnabledFor(self._level) or connection.request is None:
            return
        target = connection.request.target
        target = cut(target if self._shows_queries else redact_query(target))
        self._log.about(connection, self._level, "opened for %s: %s", target)

    def ended(self, connection: Connection, ending: Ending) -> None:
        """Write that an open connection ended."""
        text = "ended for %s: %d %r"
        self._log.about(connection, self._level, text, ending.code, ending.reason)

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
        self._waiting.append(events.Log(connection_id, level_of(level), message, name))

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._left_out:
            text = f"{self._left_out} lines were left out"
            waiting.append(events.Log(0, 1, text, "shard"))
            self._left_out = 0
        for event in waiting:
            self._dispatch.fire_remote("on_log", event)
