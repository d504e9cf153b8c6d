"""The lines of the control socket, sans-IO: requests to bytes, bytes to replies.

Owns their form and their bounds (endpoint), and what is accepted as a reply. A reply that breaks
them is a ControlError: after it nothing more can be read from that connection.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shardws.control import failures
from shardws.control.endpoint import LONGEST_REPLY, LONGEST_REQUEST
from shardws.errors import Refused, UsageError

Reply = dict[str, Any]
Data = bytes | bytearray | memoryview


def encode(do: str, arguments: dict[str, Any]) -> bytes:
    """Return a request as a line; UsageError (213) when it is none, or too long."""
    try:
        text = json.dumps({"do": do, **arguments}, ensure_ascii=False, separators=(",", ":"))
        line = text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the server cannot be asked that: {error}", code=213) from None
    if len(line) > LONGEST_REQUEST:
        reason = f"a request is at most {LONGEST_REQUEST} bytes, this one has {len(line)}"
        raise UsageError(reason, code=213)
    return line


def octets(data: Data) -> bytes:
    """Return bytes of a buffer; UsageError 213 for all else."""
    try:
        return bytes(memoryview(data))
    except TypeError:
        reason = f"a message is text, bytes or a buffer, not {type(data).__name__}"
        raise UsageError(reason, code=213) from None


def payload(data: str | Data) -> dict[str, str]:
    """Return the argument that carries a message: str as text, bytes as binary."""
    if isinstance(data, str):
        return {"text": data}
    return {"data": base64.b64encode(octets(data)).decode("ascii")}


def accepted(reply: Reply) -> Reply:
    """Return what a reply tells besides that it is one; Refused when the server will not."""
    if reply.pop("ok"):
        return reply
    error, code = reply.get("error"), reply.get("code")
    raise Refused(
        error if isinstance(error, str) else "refused", code=code if type(code) is int else None
    )


class Decoder:
    """Makes replies of what arrives over one connection; `path` is the run directory, for words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that are complete now; ControlError for what is none."""
        self._rest += data
        if b"\n" in data:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                yield self._reply(line)
        self._check_length(self._rest)

    def _reply(self, line: bytearray) -> Reply:
        self._check_length(line)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            raise failures.no_server(self._path) from None
        if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
            raise failures.no_server(self._path)
        return reply

    def _check_length(self, line: bytearray) -> None:
        if len(line) > LONGEST_REPLY:
            raise failures.too_long(self._path)
