"""The opening handshake: bytes of a client in, a Request or a refusal out.

Owns the limits, the state of an unfinished head and the rules of RFC 6455 4.2.1; the grammar is in
`request_head`, the answers in `response`. Knows no socket and no deadline.

Why not wsproto's own: it needs 300 us of a connect, answers HTTP/1.0 with 101, does not check the
key, raises UnicodeDecodeError for some hosts, and loses frames that came in the same segment.

    400  not HTTP/1.1, bad grammar, Host, key, a repeated field, a body of unknown length
    403  the origin is not allowed           405  not GET            413  a body
    414  request line too long               431  header too long    505  another HTTP
    421  the host is not allowed             426  no WebSocket upgrade, or not version 13

Answers come as early as the bytes allow, in the order of the bytes.

Most requests are recognised by C (`codec.head`), which takes only what all of this accepts: a rule
that becomes stricter here becomes so in `_head-inl.h`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shardws import hotpath
from shardws.errors import HandshakeError, StateError
from shardws.log import shown
from shardws.protocol import codec, request_head
from shardws.protocol.hosts import Hosts
from shardws.protocol.origin import Origins
from shardws.protocol.request import OpeningFields, Request, authority_of
from shardws.protocol.response import accept, parse_headers, refuse, select_protocol

__all__ = [
    "HandshakeConfig",
    "HandshakeReader",
    "Hosts",
    "OpeningFields",
    "Origins",
    "Request",
    "accept",
    "parse_headers",
    "refuse",
    "select_protocol",
]

_UPGRADE: Final = (("Upgrade", "websocket"),)
_VERSION_13: Final = (("Sec-WebSocket-Version", "13"), *_UPGRADE)
_VERSION_BYTES: Final = len(" HTTP/1.1")
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")  # base64 of 16 bytes
_PROTOCOLS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z, \t]*+")
# Only in a head that the grammar accepted: there a line end begins a field.
_FIELDS: Final = re.compile(
    rb"\n(host|origin|upgrade|connection|content-length|transfer-encoding"
    rb"|sec-websocket-(?:key|version|protocol)):[\t ]*+([^\r]*+)",
    re.IGNORECASE,
)
_LISTS: Final = frozenset({b"upgrade", b"connection", b"sec-websocket-protocol"})
make_fields = hotpath.implementation.maker(OpeningFields)
_EMPTY_LINE: Final = b"\r\n"

IsSecure = Callable[[Request], bool]  # whether the client of a request came by TLS


def _is_never_secure(_request: Request) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class HandshakeConfig:
    """Limits of one opening request, in bytes of the head and in header lines."""

    max_header_bytes: int = 16384  # all of the head; precedents: nginx 4 x 8192, h11 16384
    max_line_bytes: int = 8192  # the request line; RFC 9112 3 asks for 8000 at least
    max_headers: int = 100  # precedent: Apache's LimitRequestFields
    origins: Origins = field(default_factory=Origins)
    hosts: Hosts = field(default_factory=Hosts)


class HandshakeReader:
    """Reads one opening request; holds at most `max_header_bytes` of it.

    `is_secure` is asked of a request with an Origin; without it no client came by TLS.
    """

    __slots__ = (
        "_buffer",
        "_config",
        "_is_secure",
        "_line_end",
        "_skipped",
        "fields",
        "rest",
    )

    def __init__(self, config: HandshakeConfig, is_secure: IsSecure = _is_never_secure) -> None:
        self._config = config
        self._is_secure = is_secure
        self._skipped = 0  # bytes of the empty line before the request line
        self._buffer: bytearray | None = None
        self._line_end = -1  # where the request line ends, once it is known and good
        self.fields: OpeningFields | None = None  # after the Request: what decides on it
        self.rest = b""  # and the bytes behind it, the first frames

    def receive(self, data: bytes) -> Request | None:
        """Take bytes; return the Request when its head is complete.

        HandshakeError says how to refuse; StateError (211) when the request was complete before.
        """
        if self.fields is not None:
            raise StateError("the opening request has been read")
        config = self._config
        if self._buffer is None:
            # The ordinary case: the whole head in the first segment, no buffer.
            found = codec.head(
                data, config.max_header_bytes, config.max_line_bytes, config.max_headers
            )
            if found is not None:
                return self._take(data, found)
            match = request_head.HEAD.match(data, 0, config.max_header_bytes)
            if match is not None and match.end(1) + _VERSION_BYTES <= config.max_line_bytes:
                return self._finish(data, match)
            self._buffer = bytearray()
        return self._collect(self._buffer, data)

    def _take(self, data: bytes, found: codec.Head) -> Request:
        """Finish with a head that C has read; only who may connect is left to decide."""
        end, *values = found
        request, fields = Request(data[:end]), make_fields(*values)
        self._check_access(request, fields.host, fields.origin)
        self.fields = fields
        self.rest = data[end:]
        return request

    def _without_empty_line(self, data: bytes) -> bytes:
        """Drop one empty line in front of the request line (RFC 9112 2.2); 400 for half of one."""
        while data and self._skipped < 2 and data[0] == _EMPTY_LINE[self._skipped]:
            self._skipped += 1
            data = data[1:]
        if data and self._skipped == 1:
            raise HandshakeError(400, "this is not HTTP")
        return data

    def _collect(self, buffer: bytearray, data: bytes) -> Request | None:
        if not buffer:
            data = self._without_empty_line(data)
        start = len(buffer)
        room = self._config.max_header_bytes - start
        buffer += data[:room]
        end = buffer.find(b"\r\n\r\n", max(0, start - 3))
        self._check(buffer, start, len(buffer) if end < 0 else end + 4)
        if end >= 0:
            whole = bytes(buffer) + data[room:] if len(data) > room else bytes(buffer)
            self._buffer = None
            match = request_head.HEAD.match(whole)
            if match is None:
                raise request_head.diagnose_fields(whole[self._line_end + 2 : end])
            return self._finish(whole, match)
        if len(buffer) >= self._config.max_header_bytes:
            if self._line_end < 0:
                raise HandshakeError(414, "the request line is too long")
            raise HandshakeError(431, "the request header is too long")
        return None

    def _check(self, buffer: bytearray, start: int, end: int) -> None:
        """Refuse as early as the bytes between `start` and `end` allow."""
        if self._line_end < 0:
            limit = self._config.max_line_bytes
            line_end = buffer.find(b"\r\n", max(0, start - 1), end)
            stop = line_end
            if stop < 0:  # a CR at the end may be half of the line end
                stop = len(buffer) - buffer.endswith(b"\r")
            request_head.check_line_bytes(buffer, start, min(stop, limit))
            if stop > limit:
                raise HandshakeError(414, "the request line is too long")
            if line_end < 0:
                return
            request_head.check_line(bytes(buffer[:line_end]))
            self._line_end = line_end
            start = line_end
        request_head.check_header_bytes(buffer, start, end)

    def _finish(self, data: bytes, match: re.Match[bytes]) -> Request:
        end = match.end()
        raw = data[:end]
        target = match[1]
        if not target.startswith(b"/"):
            request_head.check_target(target)
        if raw.count(b"\r\n") - 2 > self._config.max_headers:
            raise HandshakeError(431, "too many header lines")
        request = Request(raw)
        self.fields = self._check_fields(request, target)
        self.rest = data[end:]
        return request

    def _check_fields(self, request: Request, target: bytes) -> OpeningFields:
        """Apply the rules of RFC 6455 4.2.1 to a head of good grammar."""
        fields = _collect_fields(request.raw)
        host = fields.get(b"host", b"")
        if not request_head.is_host(host):
            raise HandshakeError(400, "malformed Host" if host else "Host is missing")
        _check_body(fields)
        if not (
            _has_token(fields.get(b"upgrade", b""), b"websocket")
            and _has_token(fields.get(b"connection", b""), b"upgrade")
        ):
            raise HandshakeError(426, "this port speaks WebSocket only", _UPGRADE)
        if fields.get(b"sec-websocket-version") != b"13":
            raise HandshakeError(426, "only WebSocket version 13 is spoken here", _VERSION_13)
        key = fields.get(b"sec-websocket-key", b"")
        if not _KEY.fullmatch(key):
            raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
        if not _PROTOCOLS.fullmatch(fields.get(b"sec-websocket-protocol", b"")):
            raise HandshakeError(400, "malformed Sec-WebSocket-Protocol")
        asked = authority_of(target.decode("latin-1")) or host.decode("latin-1")
        origin = fields.get(b"origin", b"").decode("latin-1")
        self._check_access(request, asked, origin)
        return OpeningFields(asked, origin, key.decode(), request.sub_protocols, request.extensions)

    def _check_access(self, request: Request, asked: str, origin: str) -> None:
        """Refuse a host that is not ours, and a page that may not connect."""
        if not self._config.hosts.allows(asked, has_origin=bool(origin)):
            detail = f"the host {shown(asked)} is not in AllowedHosts"
            raise HandshakeError(421, "this host name is not served here", detail=detail)
        if not origin:
            return
        is_secure = self._is_secure(request)
        if not self._config.origins.allows(origin, asked, is_secure=is_secure):
            detail = f"the origin {shown(origin)} is not in AllowedOrigins"
            if self._config.origins.allows(origin, asked):
                detail = f"the origin {shown(origin)} came without TLS, this client with it"
                detail += ": not the same for AllowedOrigins"
            raise HandshakeError(403, "the origin is not allowed", detail=detail)


def _collect_fields(raw: bytes) -> dict[bytes, bytes]:
    """Return the fields that matter here; 400 for one that may come once and came again."""
    fields: dict[bytes, bytes] = {}
    for given, value in _FIELDS.findall(raw):
        name = given.lower()
        known = fields.get(name)
        if known is None:
            fields[name] = value.rstrip(b" \t")
        elif name in _LISTS:
            fields[name] = known + b"," + value
        else:
            raise HandshakeError(400, f"{given.decode()} is repeated")
    return fields


def _check_body(fields: dict[bytes, bytes]) -> None:
    """Refuse a request with a body: its bytes would be read as frames."""
    if b"transfer-encoding" in fields:
        raise HandshakeError(400, "an opening request has no body")
    length = fields.get(b"content-length")
    if length is None:
        return
    if not length.isdigit():
        raise HandshakeError(400, "malformed Content-Length")
    if length.strip(b"0"):
        raise HandshakeError(413, "an opening request has no body")


def _has_token(value: bytes, token: bytes) -> bool:
    lowered = value.lower()
    return lowered == token or token in (part.strip(b" \t") for part in lowered.split(b","))
