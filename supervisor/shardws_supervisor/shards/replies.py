"""Replies to requests of the control socket, given at once or later.

Owns the shape of requests, replies and refusals.
"""

from collections.abc import Callable
from typing import Any

from shardws.errors import ShardwsError

Request = dict[str, Any]
Reply = dict[str, Any]


class Pending:
    """A reply that comes later; the replies to the client's next requests follow it."""

    def __init__(self) -> None:
        self._make: Callable[[], Reply] | None = None
        self._then: Callable[[], None] | None = None

    def fill(self, make: Callable[[], Reply]) -> None:
        """Settle it: `make` returns the reply, or raises like a command."""
        self._make = make
        if self._then is not None:
            self._then()

    @property
    def is_settled(self) -> bool:
        return self._make is not None

    def then(self, call: Callable[[], None]) -> None:
        """Call `call` when it is settled, immediately if it already is."""
        self._then = call
        if self._make is not None:
            call()

    def reply(self) -> Reply:
        """Return the settled reply, or raise what the command raised."""
        assert self._make is not None
        return self._make()


def refusal(reason: str, code: int | None = None) -> Reply:
    """Return the reply that refuses a request."""
    return {"ok": False, "error": reason, **({} if code is None else {"code": code})}


def settled(reply: Reply) -> Pending:
    """Return a Pending that is settled with `reply`."""
    pending = Pending()
    pending.fill(lambda: reply)
    return pending


def guarded(make: Callable[[], Reply]) -> Reply:
    """Return the reply with "ok" added; an error of the command becomes a refusal."""
    try:
        return {"ok": True, **make()}
    except ShardwsError as error:
        return refusal(error.description, error.code)
    except (ValueError, TypeError, RecursionError) as error:
        return refusal(str(error))
