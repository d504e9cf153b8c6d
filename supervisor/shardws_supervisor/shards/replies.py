"""What a request of the control socket is answered: at once, or later.

Owns the shape of requests, replies and refusals; knows no socket and no command.
"""

from collections.abc import Callable
from typing import Any

from shardws.errors import ShardwsError

Request = dict[str, Any]
Reply = dict[str, Any]


class Pending:
    """A reply that comes later; later requests of the client are answered behind it."""

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
        """Have `call` called when it is settled, at once when it is already."""
        self._then = call
        if self._make is not None:
            call()

    def reply(self) -> Reply:
        """Return the reply of what is settled, or raise."""
        assert self._make is not None
        return self._make()


def refusal(reason: str, code: int | None = None) -> Reply:
    """Return the reply to a request that cannot be served."""
    return {"ok": False, "error": reason, **({} if code is None else {"code": code})}


def settled(reply: Reply) -> Pending:
    """Return what is known already as what comes later does."""
    pending = Pending()
    pending.fill(lambda: reply)
    return pending


def guarded(make: Callable[[], Reply]) -> Reply:
    """Return a reply with its "ok"; what a command raises becomes a refusal."""
    try:
        return {"ok": True, **make()}
    except ShardwsError as error:
        return refusal(error.description, error.code)
    except (ValueError, TypeError, RecursionError) as error:
        return refusal(str(error))
