"""Refuse: raised by a route before it has accepted, it answers the opening request.

Owns the check of header fields that a route gives: none may contain the end of a line, which would
let a value from a client add fields of its own (response splitting).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from shardws import arguments
from shardws.errors import UsageError

Fields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110 5.5


def lines_of(fields: Fields) -> str:
    """Return header fields as lines for an event; UsageError (213) for one that cannot be sent."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    lines = []
    for name, value in pairs:
        if not _NAME.fullmatch(name):
            raise UsageError(f"not a header name: {name!r:.60}", code=213)
        if not _VALUE.fullmatch(value):
            raise UsageError(f"header {name}: a character that no header may carry", code=213)
        lines.append(f"{name}: {value}")
    return "\r\n".join(lines)


class Refuse(Exception):
    """Refuse a client: `raise Refuse(401, "log in first")` before the route has accepted.

    The client gets that status, body and headers as an HTTP response and no WebSocket. Browsers
    tell a page nothing of it; other clients see all of it.
    """

    def __init__(self, status: int = 403, body: str | bytes = "", headers: Fields = ()) -> None:
        """UsageError (213) for a status other than 300 to 599, or headers that cannot be sent.

        Text goes out as UTF-8. The body is text/plain unless a header Content-Type says otherwise.
        """
        self.status = arguments.number(status, "the status of a refusal")
        if not 300 <= self.status <= 599:
            raise UsageError(f"status {status} does not refuse: use 300 to 599", code=213)
        self.body = arguments.payload(body, "the body of a refusal")
        self.headers = lines_of(headers)
        super().__init__(f"refused with status {status}")
