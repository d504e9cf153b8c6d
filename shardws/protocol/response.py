"""The HTTP answers of a server that speaks only WebSocket: 101, or a refusal.

Owns status lines, the accept token, and the check of what an application adds: no header it gives
can break out of its line (response splitting) or contradict ours. Knows no reader.
RFC 6455 4.2.2; RFC 9110 7.8, 15.5.22.
"""

import binascii
import hashlib
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from shardws.errors import HandshakeError
from shardws.protocol.request import OpeningFields, Request

Headers = Sequence[tuple[str, str]]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
# Ours: an application that sets one would contradict the bytes that follow.
_RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "transfer-encoding",
    }
)
_WITHOUT_BODY: Final = frozenset({204, 205, 304})


def accept(
    request: Request | OpeningFields,
    protocol: str = "",
    extensions: str = "",
    headers: str | Headers = (),
) -> bytes:
    """Return the 101 answer; ValueError for a header or protocol that cannot be sent."""
    token = hashlib.sha1(request.key.encode() + _GUID, usedforsecurity=False).digest()
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b" % binascii.b2a_base64(token, newline=False)
    )
    if protocol:
        if protocol not in tokens_of(request.sub_protocols):
            raise ValueError(f"sub-protocol {protocol!r} was not offered")
        answer += f"\r\nSec-WebSocket-Protocol: {protocol}".encode("latin-1")
    if extensions:
        answer += _line("Sec-WebSocket-Extensions", extensions)
    if headers:
        answer += _lines(headers, _RESERVED | {"upgrade"})
    return answer + b"\r\n\r\n"


def refuse(error: HandshakeError) -> bytes:
    """Return the answer to a refused request: status, headers, a body, then the end.

    The body is the error's, else its description as a line of text; it is text/plain unless one of
    the headers is Content-Type. Status must be 200 to 599; ValueError for it or for headers that
    cannot be sent. Send it, end TCP for writing, and drop what still arrives: closing at once could
    reset the answer.
    """
    status = error.status
    if not 200 <= status <= 599:
        raise ValueError(f"status {status} is no final answer")
    body = f"{error.description}\n".encode() if error.body is None else error.body
    names = {name.lower() for name, _ in error.headers}
    # A sender of Upgrade names it in Connection too (RFC 9110 7.8).
    answer = b"HTTP/1.1 %d %b\r\nConnection: %b" % (
        status,
        _reason(status),
        b"close, Upgrade" if "upgrade" in names else b"close",
    )
    answer += _lines(error.headers, _RESERVED)
    if status in _WITHOUT_BODY:
        return answer + b"\r\n\r\n"
    if "content-type" not in names:
        answer += b"\r\nContent-Type: text/plain; charset=utf-8"
    return answer + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """Read "Name: value" lines as an application gives them; ValueError for other lines."""
    headers = []
    block = text.replace("\r\n", "\n").rstrip("\n")
    for line in block.split("\n") if block else ():
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a header line: {line!r}")
        headers.append((name, value.strip(" \t")))
    return tuple(headers)


def select_protocol(request: Request | OpeningFields, left: str) -> str:
    """Return the sub-protocol to confirm: the only one left of the offer, else "".

    `left` is what a handler made of `request.sub_protocols`. Several elements, or one that was not
    offered, choose none.
    """
    chosen = tokens_of(left)
    return chosen[0] if len(chosen) == 1 and chosen[0] in tokens_of(request.sub_protocols) else ""


def tokens_of(value: str) -> list[str]:
    """Return the elements of a comma separated list (RFC 9110 5.6.1: empty ones do not count)."""
    return [token for token in (part.strip(" \t") for part in value.split(",")) if token]


def _lines(headers: str | Headers, reserved: frozenset[str]) -> bytes:
    pairs = parse_headers(headers) if isinstance(headers, str) else headers
    for name, _ in pairs:
        if name.lower() in reserved:
            raise ValueError(f"header {name} is set by the server")
    return b"".join(_line(name, value) for name, value in pairs)


def _line(name: str, value: str) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"header {name}: a character that no header may carry")
    return f"\r\n{name}: {value}".encode("latin-1")


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Refused"
