"""The opening request of a client, kept as the bytes it came in.

Owns reading single values out of the raw head; knows neither limits nor answers.
A connection keeps its Request for life, so it is one object with one slot: 646 bytes of a browser's
head cost 679 + 40 bytes, where a list of its 14 headers would cost 2.7 KiB. A value is looked up
when someone asks (about 1 us). Field values are opaque octets (RFC 9110 5.5) and are decoded as
latin-1, which cannot fail and loses nothing.
"""

from typing import Final, NamedTuple

from shardws.log import redact_query

_EOL: Final = b"\r\n"


class Request:
    """An opening request that passed all checks of `HandshakeReader`."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw  # request line and header, with the blank line at the end

    @property
    def target(self) -> str:
        """The request target as received, with its query (RFC 9112 3.2)."""
        return self.raw[4 : self.raw.index(b" ", 4)].decode("latin-1")

    @property
    def host(self) -> str:
        """Host and port asked for: of an absolute-form target, else of Host (RFC 9112 3.2.2)."""
        return authority_of(self.target) or self._values(b"\r\nhost:")

    @property
    def origin(self) -> str:
        """The Origin field (RFC 6454), "" if there is none."""
        return self._values(b"\r\norigin:")

    @property
    def key(self) -> str:
        """The Sec-WebSocket-Key: base64 of 16 bytes."""
        return self._values(b"\r\nsec-websocket-key:")

    @property
    def sub_protocols(self) -> str:
        """The offered sub-protocols, comma separated as offered."""
        return self._values(b"\r\nsec-websocket-protocol:")

    @property
    def extensions(self) -> str:
        """The offered extensions, comma separated as offered (RFC 6455 9.1)."""
        return self._values(b"\r\nsec-websocket-extensions:")

    @property
    def headers_text(self) -> str:
        """The header as received: "Name: value" lines, CRLF between them."""
        return self.raw[self.raw.index(_EOL) + 2 : -4].decode("latin-1")

    def header(self, name: str) -> str:
        """Return the value of a field, "" if absent, several joined by ", " (RFC 9110 5.3)."""
        return self._values(b"\r\n%b:" % name.lower().encode("latin-1", "replace"))

    def _values(self, needle: bytes) -> str:
        lowered = self.raw.lower()
        at = lowered.find(needle)
        value = b""
        while at >= 0:
            start = at + len(needle)
            end = lowered.index(_EOL, start)
            piece = self.raw[start:end].strip(b" \t")
            value = value + b", " + piece if value else piece
            at = lowered.find(needle, end)
        return value.decode("latin-1")

    def __repr__(self) -> str:
        return f"<Request {redact_query(self.target)}>"


class OpeningFields(NamedTuple):
    """What decides on a Request: its properties of these names; kept until it is answered."""

    host: str
    origin: str
    key: str
    sub_protocols: str
    extensions: str


def authority_of(target: str) -> str:
    """Return host and port of an absolute-form target, "" of an origin-form one."""
    if target.startswith("/"):
        return ""
    after = target.partition("://")[2]
    return after.partition("/")[0].partition("?")[0]
