"""The grammar of a request head: is it HTTP/1.1, and if not, what is wrong with it.

Owns the patterns and the diagnosis; knows nothing of WebSocket fields or limits in bytes.
One pattern accepts a whole valid head (RFC 9112 2.1, 3, 5; measured 1.3 us for a browser's). Only
when it does not match, the slow functions below look for the reason, in the order in which the
bytes came, so that the answer is the same however they were cut into segments.
"""

import re
from typing import Final

from shardws.errors import HandshakeError

_TOKEN: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"  # RFC 9110 5.6.2
_VALUE: Final = rb"\t -~\x80-\xff"  # RFC 9110 5.5, obs-text included

# Group 1 is the target. Possessive repeats: no byte is looked at twice.
HEAD: Final = re.compile(
    rb"GET ([!-\"$-~]++) HTTP/1\.[1-9]\r\n(?:[%b]++:[%b]*+\r\n)*+\r\n" % (_TOKEN, _VALUE)
)

_LINE: Final = re.compile(rb"([%b]++) ([!-~]++) ([!-~]++)" % _TOKEN)
_VERSION: Final = re.compile(rb"HTTP/1\.[1-9]")
_FIELD: Final = re.compile(rb"[%b]++:[%b]*+" % (_TOKEN, _VALUE))
_ABSOLUTE: Final = re.compile(rb"(?:https?|wss?)://([^/?]*+)[/?]?.*+", re.IGNORECASE | re.DOTALL)
# Narrower than RFC 3986: sub-delims and percent escapes occur in no real host, but do in attacks.
LAST_PORT: Final = 65535
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z._~-]{1,32})?\]|[0-9A-Za-z._~-]{1,255})(?::([0-9]{0,5}))?"
)

# Lone LF and lone CR lead to smuggling (RFC 9112 2.2); the last CR may still get its LF.
_CLEAN_LINE: Final = re.compile(rb"[ -~]*+")
_CLEAN: Final = re.compile(rb"(?:[%b]++|\r\n)*+(?:\r\Z)?" % _VALUE)


def is_host(value: bytes) -> bool:
    """Tell whether `value` is a host with an optional port."""
    found = _HOST.fullmatch(value)
    return found is not None and int(found[1] or 0) <= LAST_PORT


def check_line_bytes(data: bytes | bytearray, start: int, end: int) -> None:
    """Refuse what no request line contains, before the line is complete."""
    if start == 0 and data and not data[:1].isalpha():
        raise HandshakeError(400, "this is not HTTP")
    if not _is_clean(_CLEAN_LINE, data, start, end):
        raise HandshakeError(400, "a forbidden byte in the request line")


def check_header_bytes(data: bytes | bytearray, start: int, end: int) -> None:
    """Refuse control bytes and lone CR or LF, before the header is complete."""
    if not _is_clean(_CLEAN, data, start, end):
        raise HandshakeError(400, "a forbidden byte in the header")


def _is_clean(pattern: re.Pattern[bytes], data: bytes | bytearray, start: int, end: int) -> bool:
    if start and data[start - 1] == 13:
        start -= 1  # the CR that was the last byte of the segment before
    match = pattern.match(data, start, end)
    return match is not None and match.end() == end


def check_line(line: bytes) -> None:
    """Refuse a request line that does not ask for a GET over HTTP/1.1."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise HandshakeError(400, "malformed request line")
    method, target, version = match.groups()
    if not _VERSION.fullmatch(version):
        if version == b"HTTP/1.0" or not version.startswith(b"HTTP/"):
            raise HandshakeError(400, "HTTP/1.1 is needed")
        raise HandshakeError(505, "only HTTP/1.1 is spoken here")
    if method != b"GET":
        raise HandshakeError(405, "only GET opens a WebSocket", (("Allow", "GET"),))
    check_target(target)


def check_target(target: bytes) -> None:
    """Refuse a target that is neither origin-form nor absolute-form (RFC 9112 3.2)."""
    if b"#" in target:
        raise HandshakeError(400, "a fragment in the request target")
    if target.startswith(b"/"):
        return
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not is_host(match[1]):
        raise HandshakeError(400, "malformed request target")


def diagnose_fields(header: bytes) -> HandshakeError:
    """Say what is wrong with the first bad line of a header that HEAD did not accept."""
    line = next(line for line in header.split(b"\r\n") if not _FIELD.fullmatch(line))
    if line[:1] in (b" ", b"\t"):
        return HandshakeError(400, "a folded header line")
    name, colon, _ = line.partition(b":")
    if colon and name != name.rstrip(b" \t"):
        return HandshakeError(400, "white space before the colon of a header line")
    return HandshakeError(400, "malformed header line")
