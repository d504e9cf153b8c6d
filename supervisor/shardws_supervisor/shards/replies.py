"""Replies to requests of the control socket, given at once or later.

Owns the shape of requests, replies and refusals; knows no socket and no command.
"""

from collections.abc import Callable
from typing import Any

from shardws.errors import ShardwsError

Request = dict[str, Any]
Reply = dict[str, Any]


class Pending:
    """A reply that comes later; the client's next requests are answered after it."""

    def __init__(self) -> None:
        self._make: Callable[[], Reply] | None = None
        self._then: Callable[[], None] | None = None

    def fill(self, make: Callable[[], Reply]) -> None:
        """Settle it: `make` returns the reply, or raises as a command does."""
        self._make = make
        if self._then is not None:
            self._then()

    @property
    def is_settled(self) -> bool:
        return self._make is not None

    def then(self, call: Callable[[], None]) -> None:
        """Call `call` when it is settled, at once if it is already."""
        self._then = call
        if self._make is not None:
            call()

    def reply(self) -> Reply:
        """Return the reply when it is settled, or raise as the command did."""
        assert self._make is not None
        return self._make()


def refusal(reason: str, code: int | None = None) -> Reply:
    """Return the reply to a request that cannot be served."""
    return {"ok": False, "error": reason, **({} if code is None else {"code": code})}


def settled(reply: Reply) -> Pending:
    """Return a reply that is known already as a Pending."""
    pending = Pending()
    pending.fill(lambda: reply)
    return pending


def guarded(make: Callable[[], Reply]) -> Reply:
    """Return a reply with "ok"; an error that a command raises becomes a refusal."""
    try:
        return {"ok": True, **make()}
    except ShardwsError as error:
        return refusal(error.description, error.code)
    except (ValueError, TypeError, RecursionError) as error:
        return refusal(str(error))
