"""The PROXY protocol: a line or block in front of a connection that says whose it is.

Owns the reading of versions 1 (text) and 2 (binary) of HAProxy's specification; knows no socket and
not whom to trust: its user reads it only from trusted proxies, and then always, since a header that
may be missing could be forged by the client. Facts to have before reading:

    v1  PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT CRLF, or PROXY UNKNOWN ... CRLF; 107 bytes
    v2  12 bytes of signature, version|command, family|transport, length, addresses, extras (TLV)

UNKNOWN, LOCAL (the proxy's own health check) and families without addresses of the internet say
nothing: the socket's own address stands. The extras of version 2 are skipped.
"""

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from shardws.errors import ProxyError, StateError

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_LINE: Final = 107  # bytes with CRLF: the longest line of version 1 (section 2.1)
MAX_BLOCK: Final = 536  # bytes: what always fits one segment (section 2.2); more is refused

_START: Final = b"PROXY "
_UNKNOWN: Final = b"PROXY UNKNOWN"
_LINE: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f:.]++) ([0-9A-Fa-f:.]++) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
_FIXED: Final = struct.Struct(">12sBBH")
_TCP4: Final = struct.Struct(">4s4sHH")
_TCP6: Final = struct.Struct(">16s16sHH")

Endpoint = tuple[str, int]


class ProxyHeader(NamedTuple):
    """Address and port of both ends as the proxy saw them; None where the socket's own stand."""

    source: Endpoint | None
    destination: Endpoint | None


SAYS_NOTHING: Final = ProxyHeader(None, None)


class ProxyReader:
    """Reads one header; holds at most MAX_BLOCK bytes. `versions` is "v1", "v2" or "any"."""

    __slots__ = ("_buffer", "_is_done", "_starts", "rest")

    def __init__(self, versions: str = "any") -> None:
        starts = {"v1": (_START,), "v2": (SIGNATURE,), "any": (_START, SIGNATURE)}
        self._starts = starts[versions]
        self._buffer = b""
        self._is_done = False
        self.rest = b""  # after the header: bytes behind it

    def receive(self, data: bytes) -> ProxyHeader | None:
        """Take bytes; return the header when it is complete, None before.

        ProxyError: this is none, or a malformed one. StateError (211): it was complete before.
        """
        if self._is_done:
            raise StateError("the PROXY header has been read")
        data = self._buffer + data
        if not any(data.startswith(start[: len(data)]) for start in self._starts):
            raise ProxyError("no PROXY header where one must be")
        if data.startswith(_START):
            length = _measure_line(data)
        else:
            length = _measure_block(data)
        if not length:
            self._buffer = data
            return None
        self._is_done = True
        self._buffer = b""
        self.rest = data[length:]
        read = _read_line if data.startswith(_START) else _read_block
        return read(data[:length])


def _measure_line(data: bytes) -> int:
    """Return the bytes of the line, 0 if its end is not there yet."""
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0 and len(data) >= MAX_LINE:
        raise ProxyError("the PROXY line is too long")
    return end + 2 if end >= 0 else 0


def _measure_block(data: bytes) -> int:
    """Return the bytes of the block, 0 if it is not complete yet."""
    if len(data) < _FIXED.size:
        return 0
    _, command, family, length = _FIXED.unpack_from(data)
    if command not in (0x20, 0x21):
        raise ProxyError("unknown version or command in the PROXY header")
    if command == 0x21 and family not in (0x00, 0x11, 0x21, 0x31):
        raise ProxyError("the PROXY header is not about a stream")
    total = _FIXED.size + int(length)
    if total > MAX_BLOCK:
        raise ProxyError("the PROXY header is too long")
    return total if len(data) >= total else 0


def _read_line(line: bytes) -> ProxyHeader:
    line = line[:-2]
    if line == _UNKNOWN or line.startswith(_UNKNOWN + b" "):
        return SAYS_NOTHING
    match = _LINE.fullmatch(line)
    if match is None:
        raise ProxyError("malformed PROXY line")
    family, *interned = (group.decode() for group in match.groups())
    kind = IPv4Address if family == "4" else IPv6Address
    ports = [int(text) for text in interned[2:]]
    try:
        source, destination = kind(interned[0]), kind(interned[1])
    except ValueError:
        raise ProxyError("malformed address in the PROXY line") from None
    if max(ports) > 65535:
        raise ProxyError("malformed port in the PROXY line")
    return ProxyHeader((str(source), ports[0]), (str(destination), ports[1]))


def _read_block(block: bytes) -> ProxyHeader:
    _, command, family, length = _FIXED.unpack_from(block)
    layout = {0x11: _TCP4, 0x21: _TCP6}.get(family)
    if command == 0x20 or layout is None:
        return SAYS_NOTHING
    if length < layout.size:
        raise ProxyError("the PROXY header is too short for its addresses")
    source, destination, from_port, to_port = layout.unpack_from(block, _FIXED.size)
    return ProxyHeader(
        (str(ip_address(source)), from_port), (str(ip_address(destination)), to_port)
    )
