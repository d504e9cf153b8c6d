"""What went wrong with no caller to raise to: the event Error, and a line in the log.

Owns the last line of defence: what the application raises is described here, and its exceptions
may fail to say what they are. Nothing here lets that through.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from shardws import events
from shardws.errors import ERROR_CODES
from shardws.log import Adapter, cut
from shardws.net.connection import Connection
from shardws.protocol.session import Ending
from shardws.stats import ERRORS, HANDLER_ERRORS, Words

LONGEST_ERROR: Final = 1000  # characters of an Error event: an exception may quote a whole message


def describe(error: BaseException) -> str:
    """Return name and text of an exception; its `str()` is the application's code, and may fail."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException as second:  # noqa: BLE001  # whatever it is, it is reported
        return f"{name} (its text cannot be had: {type(second).__name__})"


class Reports:
    """The reports of one shard; `fire(name, event)` runs a handler and does not raise."""

    def __init__(self, row: Words, log: Adapter, fire: Callable[[str, Any], None]) -> None:
        self._row = row
        self._log = log
        self._fire = fire

    def failed(self, connection_id: int, name: str, error: BaseException) -> None:
        """Report an exception of a handler."""
        self._row[HANDLER_ERRORS] += 1
        # A line about on_log is not for on_log: it would raise again.
        log = self._log if name != "on_log" else self._log.unwatched
        extra = {"connection_id": connection_id}
        log.error("%s of connection %d raised", name, connection_id, exc_info=error, extra=extra)
        if name != "on_error":
            self.error(connection_id, 436, cut(f"{name}: {describe(error)}", LONGEST_ERROR))

    def ended(self, connection: Connection, what: str, ending: Ending) -> None:
        """Write how a connection ended that was not closed in good order."""
        text = f"client %s (connection %d) {what}: %d %s"
        ended = (connection.id, ending.code, cut(ending.reason))
        self._log.about_stranger(f"clients that {what}", connection, logging.INFO, text, *ended)

    def outlived(self, connection_id: int, seconds: float) -> None:
        """Write that a handler runs on though its client has gone."""
        text = "a handler of connection %d still runs %g s after its client has gone"
        extra = {"connection_id": connection_id}
        self._log.warning(text, connection_id, seconds, extra=extra)

    def error(self, connection_id: int, code: int, description: str = "") -> None:
        """Fire an Error event: trouble with no caller to raise to."""
        self._row[ERRORS] += 1
        description = description or ERROR_CODES[code].text
        self._fire("on_error", events.Error(connection_id, code, description))
